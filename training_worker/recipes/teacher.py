"""Build a band's teacher from segments of many observers and contexts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import WindowSet
from training_worker.learning.export import export_graph
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, new_predictor
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.trained import TrainedModel, trained_model

_HELD_OUT_FOLD = 0


@dataclass(frozen=True)
class TeacherOptions:
    """How to build a teacher."""

    max_epochs: int
    stride_frames: int
    seed: int


def build_teacher(
    options: TeacherOptions,
    segments: Sequence[npt.NDArray[np.uint8]],
    workspace: Path,
    report: Callable[[Progress], None],
) -> TrainedModel:
    """Return a teacher fitted to segments uint8 [frames, 128], continuing what an earlier attempt left in `workspace`.

    Raises:
        FailedPreconditionError: The segments hold too little data.
        CorruptError: The exported graph does not compute what torch computes.
    """
    tell = ProgressReporter(report).tell
    windows = WindowSet.cut(segments, options.stride_frames, options.seed)
    predictor = fit(
        new_predictor(LstmConfig(), options.seed),
        windows,
        _HELD_OUT_FOLD,
        FitOptions(max_epochs=options.max_epochs, seed=options.seed),
        workspace / "teacher.checkpoint",
        lambda epoch, share, error_db: tell(
            f"epoch {epoch} of at most {options.max_epochs}", 0.9 * (epoch - 1 + share) / options.max_epochs, error_db
        ),
    )
    errors = errors_db(
        predictor, windows, windows.held_out(_HELD_OUT_FOLD), lambda share: tell("calibrating", 0.9 + 0.05 * share)
    )
    tell("exporting", 0.95)
    graph = export_graph(predictor)
    teacher = trained_model(predictor, graph, frozen_layers=0, errors=errors, parent_errors=None)
    tell("built", 1.0)
    return teacher
