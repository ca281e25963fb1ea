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
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.trained import Origin, TrainedModel, trained_model

_HELD_OUT_FOLD = 0
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
    if isinstance(start, networks.LinearPredictor):
        predictor, rest = _solved(start, windows, tell)
    else:
        predictor, rest = _fitted(start, windows, options, workspace, tell)
        if options.family == networks.HYBRID and isinstance(predictor, LstmPredictor):
            predictor, rest = _with_skip(predictor, windows, tell)
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
            return networks.blank_linear()
        case family:
            raise InvalidArgumentError(f"there is no family {family!r}: choose {_SOME}")


def _solved(start: Predictor, windows: WindowSet, tell: Tell) -> tuple[Predictor, LeftOver]:
    regression = exact.regress(start, windows, lambda share: tell("solving", 0.8 * share, None))
    solution = exact.fit_exactly(regression, exact.dense_of(start))
    return exact.with_dense(start, solution.dense), exact.left_over(regression, solution.left_out)


def _fitted(
    start: Predictor, windows: WindowSet, options: TeacherOptions, workspace: Path, tell: Tell
) -> tuple[Predictor, LeftOver]:
    predictor = fit(
        start,
        windows,
        _HELD_OUT_FOLD,
        FitOptions(max_epochs=options.max_epochs, seed=options.seed),
        workspace / "teacher.checkpoint",
        lambda epoch, share, error_db: tell(
            f"epoch {epoch} of at most {options.max_epochs}", 0.8 * (epoch - 1 + share) / options.max_epochs, error_db
        ),
    )
    held_out = windows.held_out(_HELD_OUT_FOLD)
    return predictor, left_over(
        predictor, windows, held_out, lambda share: tell("calibrating", 0.8 + 0.1 * share, None)
    )


def _with_skip(predictor: LstmPredictor, windows: WindowSet, tell: Tell) -> tuple[Predictor, LeftOver]:
    """Give an LSTM predictor its linear skip; only the fold that the LSTM never saw can tell what is left over."""
    hybrid = networks.hybrid_of(predictor)
    regression = exact.regress(hybrid, windows, lambda share: tell("solving the linear skip", 0.9 + 0.04 * share, None))
    solution = exact.fit_exactly(regression, exact.dense_of(hybrid))
    unseen = {_HELD_OUT_FOLD: solution.left_out[_HELD_OUT_FOLD]}
    return exact.with_dense(hybrid, solution.dense), exact.left_over(regression, unseen)
