"""Refit a copy of a teacher to one cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.exact import dense_of, fit_exactly, held_out_errors_db, regress, with_dense
from training_worker.learning.export import load_predictor
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmPredictor
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.trained import TeacherModel, TrainedModel, trained_model

_HELD_OUT_FOLD = 0


@dataclass(frozen=True)
class StudentOptions:
    """How to refit a teacher: `frozen_layers` counts from the input, and `max_epochs` serves refits of LSTM layers."""

    frozen_layers: int
    max_epochs: int
    stride_frames: int
    seed: int


def build_student(
    options: StudentOptions,
    segments: Sequence[npt.NDArray[np.uint8]],
    teacher: TeacherModel,
    workspace: Path,
    report: Callable[[Progress], None],
) -> TrainedModel:
    """Return a student fitted to segments uint8 [frames, 128], continuing what an earlier attempt left in `workspace`.

    The dense layer is solved exactly. Where LSTM layers are free too, Adam goes on from that solution; then one fold
    of blocks of time is kept from both, to stop early and to calibrate.

    Raises:
        InvalidArgumentError: The teacher has not as many layers as are to be frozen.
        FailedPreconditionError: The segments hold too little data.
        CorruptError: The teacher's tensors or graph are not those of a network that this worker knows.
    """
    tell = ProgressReporter(report).tell
    parent = load_predictor(teacher.family, teacher.tensors)
    windows = WindowSet.cut(segments, options.stride_frames, options.seed)
    regression = regress(parent, windows, lambda share: tell("solving the dense layer", 0.5 * share))
    exact = fit_exactly(regression, dense_of(parent))
    if options.frozen_layers == parent.config.layers:
        student = with_dense(parent, exact.dense)
        errors = held_out_errors_db(regression, exact.left_out)
        parent_errors = held_out_errors_db(regression, [dense_of(parent)] * FOLDS)
    else:
        start = with_dense(parent, exact.left_out[_HELD_OUT_FOLD])
        student = _refit(start, windows, options, workspace, tell)
        held_out = windows.held_out(_HELD_OUT_FOLD)
        errors = errors_db(student, windows, held_out, lambda share: tell("calibrating", 0.9 + 0.02 * share))
        parent_errors = errors_db(parent, windows, held_out, lambda share: tell("calibrating", 0.92 + 0.02 * share))
    tell("checking", 0.95)
    trained = trained_model(student, teacher.graph, options.frozen_layers, errors, parent_errors)
    tell("built", 1.0)
    return trained


def _refit(
    start: LstmPredictor,
    windows: WindowSet,
    options: StudentOptions,
    workspace: Path,
    tell: Callable[[str, float, float | None], None],
) -> LstmPredictor:
    return fit(
        start,
        windows,
        _HELD_OUT_FOLD,
        FitOptions(max_epochs=options.max_epochs, seed=options.seed, frozen_layers=options.frozen_layers),
        workspace / "student.checkpoint",
        lambda epoch, share, error_db: tell(
            f"epoch {epoch} of at most {options.max_epochs}",
            0.5 + 0.4 * (epoch - 1 + share) / options.max_epochs,
            error_db,
        ),
    )
