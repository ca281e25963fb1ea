"""Build a band's teacher from segments of many observers and contexts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bandwatch.errors import InvalidArgumentError
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver, left_over
from training_worker.learning.dataset import WindowSet
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, LstmPredictor, Predictor
from training_worker.learning.reduced import fit_reduced
from training_worker.recipes.progress import Progress, ProgressReporter, part_of
from training_worker.recipes.trained import Origin, TrainedModel, trained_model

HELD_OUT_FOLD = 0
"""Fold of blocks of time that no gradient sees."""
_LARGEST_LSTM_LAYERS = 8
_SOME = "lstm-predictor, autoencoder, linear or hybrid"

Tell = Callable[[str, float, float | None], None]


@dataclass(frozen=True)
class TeacherOptions:
    """How to build a teacher; `layers` counts LSTM layers, or dense ones of an autoencoder, and 0 takes the usual."""

    max_epochs: int
    stride_frames: int
    seed: int
    family: str = networks.LSTM
    layers: int = 0


def build_teacher(
    options: TeacherOptions,
    segments: Sequence[npt.NDArray[np.uint8]],
    workspace: Path,
    report: Callable[[Progress], None],
) -> TrainedModel:
    """Return a teacher fitted to segments uint8 [frames, 128], continuing what an earlier attempt left in `workspace`.

    Raises:
        InvalidArgumentError: There is no such family, or it has no such number of layers.
        FailedPreconditionError: The segments hold too little data.
        CorruptError: The exported graph does not compute what torch computes.
    """
    tell = ProgressReporter(report).tell
    start = new_network(options)
    windows = WindowSet.cut(segments, options.stride_frames, options.seed)
    predictor: Predictor
    if isinstance(start, networks.LinearPredictor):
        linear = fit_reduced(windows, lambda share: tell("solving", 0.8 * share, None))
        predictor, rest = linear.predictor, linear.rest
    else:
        predictor, rest = _fitted(start, windows, options, workspace, tell)
        if options.family == networks.HYBRID and isinstance(predictor, LstmPredictor):
            predictor, rest = with_linear_skip(
                predictor, windows, lambda share: tell("solving the linear skip", 0.9 + 0.04 * share, None)
            )
    tell("exporting", 0.95, None)
    teacher = trained_model(predictor, rest, Origin())
    tell("built", 1.0, None)
    return teacher


def new_network(options: TeacherOptions) -> Predictor:
    """Return the network that the fit starts from; a hybrid starts as the LSTM predictor in it.

    Raises:
        InvalidArgumentError: There is no such family, or it has no such number of layers.
    """
    match options.family:
        case networks.LSTM | networks.HYBRID:
            if options.layers > _LARGEST_LSTM_LAYERS:
                raise InvalidArgumentError(f"{options.layers} LSTM layers are too many: choose 1 to 8")
            layers = options.layers or LstmConfig.layers
            return networks.new_predictor(LstmConfig(layers=layers), options.seed)
        case networks.AUTOENCODER:
            return networks.new_autoencoder(options.layers or 4, options.seed)
        case networks.LINEAR:
            return networks.LinearPredictor()
        case family:
            raise InvalidArgumentError(f"there is no family {family!r}: choose {_SOME}")


def _fitted(
    start: Predictor, windows: WindowSet, options: TeacherOptions, workspace: Path, tell: Tell
) -> tuple[Predictor, LeftOver]:
    predictor = fit(
        start,
        windows,
        HELD_OUT_FOLD,
        FitOptions(max_epochs=options.max_epochs, seed=options.seed),
        workspace / "teacher.checkpoint",
        lambda epoch, share, error_db: tell(
            f"epoch {epoch} of at most {options.max_epochs}", 0.8 * (epoch - 1 + share) / options.max_epochs, error_db
        ),
    )
    held_out = windows.held_out(HELD_OUT_FOLD)
    return predictor, left_over(
        predictor, windows, held_out, lambda share: tell("calibrating", 0.8 + 0.1 * share, None)
    )


def with_linear_skip(
    predictor: LstmPredictor, windows: WindowSet, report: Callable[[float], None]
) -> tuple[networks.HybridPredictor, LeftOver]:
    """Return the hybrid of an LSTM predictor, and what it leaves over of the fold that neither of its parts saw."""
    linear = fit_reduced(windows, part_of(report, 0, 2), without=HELD_OUT_FOLD).predictor
    hybrid = networks.hybrid_of(predictor, linear)
    regression = exact.regress(hybrid, windows, part_of(report, 1, 2))
    solution = exact.fit_exactly(regression, exact.dense_of(hybrid))
    unseen = {HELD_OUT_FOLD: solution.left_out[HELD_OUT_FOLD]}
    return exact.with_dense(hybrid, solution.dense), exact.left_over(regression, unseen)
