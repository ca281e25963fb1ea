"""Refit a copy of a teacher to one cell, and choose which teacher and which family."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bandwatch.errors import InvalidArgumentError
from training_worker.learning import exact, networks
from training_worker.learning.calibration import error_statistics, left_over
from training_worker.learning.dataset import WindowSet
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import Predictor
from training_worker.learning.restore import load_predictor
from training_worker.recipes.choice import candidate, chosen_teacher, suitable_teachers, why_lowest
from training_worker.recipes.families import Solved, families_left, solve_from, solved_families
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.teacher import HELD_OUT_FOLD
from training_worker.recipes.trained import Origin, TeacherModel, TrainedModel, trained_model


@dataclass(frozen=True)
class StudentOptions:
    """How to refit a teacher.

    Attributes:
        frozen_layers: Layers, counted from the input, that keep the teacher's weights.
        max_epochs: Serves refits of more than the dense layer.
        stride_frames: Frames between the starts of windows.
        seed: Deals blocks of time to folds, and orders windows.
        families: Families to choose among; empty for the teacher's own, and a linear student that needs no teacher.
    """

    frozen_layers: int
    max_epochs: int
    stride_frames: int
    seed: int
    families: tuple[str, ...] = ()


def build_student(
    options: StudentOptions,
    segments: Sequence[npt.NDArray[np.uint8]],
    teachers: Mapping[str, TeacherModel],
    workspace: Path,
    report: Callable[[Progress], None],
) -> TrainedModel:
    """Return a student fitted to segments uint8 [frames, 128], continuing what an earlier attempt left in `workspace`.

    Of several teachers the one is taken that a refit brings lowest on one minute of the data. With everything but the
    dense layer frozen, the dense layer of each family is solved exactly, and the family with the lowest error on
    left-out blocks is taken. Where more layers are free, Adam goes on from the exact solution of the teacher's own
    family; then one fold of blocks of time is kept from both, to stop early and to calibrate.

    Raises:
        InvalidArgumentError: The teacher has not as many layers as are to be frozen, or no family fits it.
        FailedPreconditionError: The segments hold too little data.
        CorruptError: The teacher's tensors or graph are not those of a network that this worker knows.
    """
    tell = ProgressReporter(report).tell
    loaded = {name: load_predictor(teacher.family, teacher.tensors) for name, teacher in teachers.items()}
    loaded = suitable_teachers(loaded, options.families)
    name, tried, why_teacher = chosen_teacher(
        loaded, segments, options.stride_frames, options.seed, lambda share: tell("choosing a teacher", 0.2 * share)
    )
    parent = loaded[name] if name is not None else None
    frozen = _frozen_layers(parent, options.frozen_layers)
    windows = WindowSet.cut(segments, options.stride_frames, options.seed)
    families = families_left(parent, frozen, options.families)
    free = parent is not None and frozen < parent.body_layers

    def solving(share: float) -> None:
        tell("solving", 0.2 + 0.4 * share)

    solved = [solve_from(parent, windows, solving)] if free else solved_families(parent, families, windows, solving)
    best = min(solved, key=lambda one: float(one.rest.error_db.mean()))
    student, rest, unadapted = best.predictor, best.rest, best.unadapted
    if parent is not None and free:
        student = _refitted(best, windows, replace(options, frozen_layers=frozen), workspace, tell)
        held_out = windows.held_out(HELD_OUT_FOLD)
        rest = left_over(student, windows, held_out, lambda share: tell("calibrating", 0.9 + 0.02 * share))
        unadapted = left_over(parent, windows, held_out, lambda share: tell("calibrating", 0.92 + 0.02 * share))
    tell("checking", 0.95)
    start = name if best.has_teacher else None
    origin = Origin(
        parent=start,
        parent_error=None if unadapted is None else error_statistics(unadapted.error_db),
        frozen_layers=frozen if best.has_teacher else 0,
        graph=teachers[start].graph if start is not None and best.family == teachers[start].family else None,
        candidates=(*tried, *(candidate(one, name if one.has_teacher else None) for one in solved)),
        choice=" ".join(filter(None, (why_teacher, why_lowest(best, solved)))),
    )
    trained = trained_model(student, rest, origin)
    tell("built", 1.0)
    return trained


def _frozen_layers(parent: Predictor | None, wanted: int) -> int:
    """Return how many layers are frozen; the one layer of combinations of a linear teacher counts as all of them."""
    if parent is None:
        return 0
    if isinstance(parent, networks.LinearPredictor):
        return min(wanted, parent.body_layers)
    if wanted > parent.body_layers:
        raise InvalidArgumentError(
            f"{wanted} layers cannot be frozen: the teacher has {parent.body_layers} layers and a dense layer; "
            f"choose 0 to {parent.body_layers}"
        )
    return wanted


def _refitted(
    best: Solved,
    windows: WindowSet,
    options: StudentOptions,
    workspace: Path,
    tell: Callable[[str, float, float | None], None],
) -> Predictor:
    return fit(
        exact.with_dense(best.predictor, best.left_out[HELD_OUT_FOLD]),
        windows,
        HELD_OUT_FOLD,
        FitOptions(max_epochs=options.max_epochs, seed=options.seed, frozen_layers=options.frozen_layers),
        workspace / "student.checkpoint",
        lambda epoch, share, error_db: tell(
            f"epoch {epoch} of at most {options.max_epochs}",
            0.6 + 0.3 * (epoch - 1 + share) / options.max_epochs,
            error_db,
        ),
    )
