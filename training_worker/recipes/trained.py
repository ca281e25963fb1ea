"""What a recipe starts from and what it returns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import Candidate, ErrorStatistics, ScoreTable
from training_worker.learning.calibration import (
    DEFAULT_SCORE,
    Calibration,
    LeftOver,
    calibrate,
    error_statistics,
    needed_seconds,
)
from training_worker.learning.export import OUTPUTS, Session, check_against_torch, export_graph, outputs_of, tensors
from training_worker.learning.networks import Predictor
from training_worker.learning.scores import Scorer

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
    scores: tuple[ScoreTable, ...]
    default_score: str
    golden_errors_db: tuple[float, ...]
    parent: str | None
    parent_error: ErrorStatistics | None
    candidates: tuple[Candidate, ...]
    choice: str


@dataclass(frozen=True, eq=False)
class Origin:
    """Where a student comes from: its parent's name and error on the same held-out windows, and what else was tried."""

    parent: str | None = None
    parent_error: ErrorStatistics | None = None
    frozen_layers: int = 0
    graph: bytes | None = None
    candidates: tuple[Candidate, ...] = ()
    choice: str = ""


def trained_model(predictor: Predictor, rest: LeftOver, origin: Origin) -> TrainedModel:
    """Return the model, calibrated by what it leaves over of windows that were not fitted, and checked in onnxruntime.

    The parent's graph serves a student of the same architecture.

    Raises:
        CorruptError: The graph does not compute what torch computes.
    """
    calibration = calibrate(rest)
    scorer = Scorer(predictor, calibration.statistics)
    fits = origin.graph is not None and outputs_of(origin.graph) == OUTPUTS
    graph = origin.graph if origin.graph is not None and fits else export_graph(scorer)
    check_against_torch(graph, scorer)
    weights = tensors(scorer)
    golden = Session(graph, weights).score(golden_windows(GOLDEN_WINDOWS))
    return TrainedModel(
        family=predictor.family,
        graph=graph,
        tensors=weights,
        frozen_layers=origin.frozen_layers,
        error=error_statistics(rest.error_db),
        scores=calibration.tables,
        default_score=DEFAULT_SCORE,
        golden_errors_db=tuple(golden.error_db.tolist()),
        parent=origin.parent,
        parent_error=origin.parent_error,
        candidates=origin.candidates,
        choice=" ".join(filter(None, (origin.choice, _short_of_data(rest, calibration)))),
    )


def _short_of_data(rest: LeftOver, calibration: Calibration) -> str:
    """Say how much data the lowest rates need that the thresholds cannot be read off for; nothing if all can."""
    rates = [threshold.false_alarm_rate for threshold in calibration.tables[0].thresholds]
    short = [rate for rate in rates if needed_seconds(rest, rate) > rest.seconds]
    if not short:
        return ""
    return (
        f"{rest.seconds:.3g} s of held-out data cannot show false-alarm rates of {100 * max(short):g} % and below: "
        f"that takes {needed_seconds(rest, max(short)):.3g} s, so those thresholds lie on the quiet side."
    )
