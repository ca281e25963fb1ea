"""What a recipe starts from and what it returns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import ErrorStatistics, Threshold
from training_worker.learning.calibration import Errors, error_statistics, thresholds
from training_worker.learning.export import check_against_torch, score, tensors
from training_worker.learning.networks import FAMILY, LstmPredictor

GOLDEN_WINDOWS = 4
"""Windows whose errors travel with a model, so that an observer sees whether it computes what training computed."""


@dataclass(frozen=True, eq=False)
class TeacherModel:
    """The parts of a published model that a student starts from."""

    family: str
    graph: bytes
    tensors: dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model ready to be published: what the manifest will bind, with bytes and arrays instead of digests."""

    family: str
    graph: bytes
    tensors: dict[str, npt.NDArray[np.float32]]
    frozen_layers: int
    error: ErrorStatistics
    thresholds: tuple[Threshold, ...]
    golden_errors_db: tuple[float, ...]
    parent_error: ErrorStatistics | None


def trained_model(
    predictor: LstmPredictor, graph: bytes, frozen_layers: int, errors: Errors, parent_errors: Errors | None
) -> TrainedModel:
    """Return the model, checked in onnxruntime, calibrated from errors [n] in dB of windows that were not fitted.

    Raises:
        CorruptError: The graph does not compute what torch computes.
    """
    check_against_torch(graph, predictor)
    weights = tensors(predictor)
    golden_errors_db, _ = score(graph, weights, golden_windows(GOLDEN_WINDOWS))
    return TrainedModel(
        family=FAMILY,
        graph=graph,
        tensors=weights,
        frozen_layers=frozen_layers,
        error=error_statistics(errors),
        thresholds=thresholds(errors),
        golden_errors_db=tuple(golden_errors_db.tolist()),
        parent_error=None if parent_errors is None else error_statistics(parent_errors),
    )
