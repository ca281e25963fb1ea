"""What a model says of the windows of one stream: every score that it is calibrated for, and which windows it flags."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray

from bandwatch.artifacts.ladder import Rung, rung_of
from bandwatch.spectrogram.bands import FRAME_BINS, TARGET_FRAMES
from bandwatch.spectrogram.scoring import combined_scores, standing_scores
from observer_agent.detection.model import ModelOutputs, ScoringModel
from observer_agent.settings import ScoreChoice, ThresholdMethod

_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class DetectionOptions:
    """How windows are cut and judged: by which score, against which threshold."""

    stride_frames: int = 25
    false_alarm_rate: float = 0.01
    score: ScoreChoice = "default"
    threshold_method: ThresholdMethod = "bound"


@dataclass(frozen=True)
class ScoredWindows:
    """Windows that one model scored at once.

    `first_frames` int64 [n] counts frames from the start of the stream; `error_db` float32 [n]; `scores` holds float32
    [n] of every score that the model is calibrated for; `score` names the one that flags a window above `threshold`;
    `anomalous` bool [n]; `predicted` codes float32 [n, 25, 128]. A window whose error or score is no finite number is
    never anomalous. `rung` is where the model stands on the ladder, `scoring_s` how
    long scoring took.
    """

    model: str
    serial: int
    first_frames: NDArray[np.int64]
    error_db: NDArray[np.float32]
    score: str
    scores: Mapping[str, NDArray[np.float32]]
    threshold: float
    false_alarm_rate: float
    anomalous: NDArray[np.bool_]
    predicted: NDArray[np.float32]
    rung: Rung = Rung.STUDENT
    scoring_s: float = 0.0

    @property
    def values(self) -> NDArray[np.float32]:
        """The score that flags, float32 [n]."""
        return self.scores[self.score]


class Detector:
    """Judges the windows of one stream, in order, by one model."""

    def __init__(self, model: ScoringModel, options: DetectionOptions) -> None:
        self.model = model
        content = model.manifest.content
        self._rung = rung_of(band=model.manifest.band, cell=model.manifest.cell)
        self._stride_frames = options.stride_frames
        self._normal: dict[str, tuple[float, float]] = {
            table.score: (table.log_mean, table.log_deviation) for table in content.scores if table.score != "combined"
        }
        self._combines = "combined" in content.score_names
        self._score = _score_in_force(model, options.score)
        threshold = content.table_of(self._score).threshold_for(options.false_alarm_rate)
        self._threshold: float = getattr(threshold, options.threshold_method)
        self._false_alarm_rate = threshold.false_alarm_rate
        self._earlier: NDArray[np.float32] | None = None

    def restart(self) -> None:
        """Forget the windows before a gap: what stood there says nothing of what comes."""
        self._earlier = None

    def detect(self, windows: NDArray[np.uint8], first_frames: NDArray[np.int64]) -> ScoredWindows:
        """Return windows uint8 [n, 125, 128], which follow those of the last call, with their scores."""
        began_s = time.perf_counter()
        outputs = self.model.score(windows)
        with np.errstate(invalid="ignore", over="ignore"):  # what is no number flags nothing
            scores = self._scores(outputs)
            values = scores[self._score]
            judged = np.isfinite(outputs.error_db) & np.isfinite(values)
            anomalous = judged & (values > self._threshold)
        return ScoredWindows(
            model=self.model.name,
            serial=self.model.serial,
            first_frames=first_frames,
            error_db=outputs.error_db,
            score=self._score,
            scores=scores,
            threshold=self._threshold,
            false_alarm_rate=self._false_alarm_rate,
            anomalous=anomalous,
            predicted=outputs.predicted,
            rung=self._rung,
            scoring_s=time.perf_counter() - began_s,
        )

    def unscored(self, windows: NDArray[np.uint8], first_frames: NDArray[np.int64]) -> ScoredWindows:
        """Return windows that the model gave no scores for."""
        nothing = np.full(len(windows), np.nan, np.float32)
        return ScoredWindows(
            model=self.model.name,
            serial=self.model.serial,
            first_frames=first_frames,
            error_db=nothing,
            score=self._score,
            scores={self._score: nothing},
            threshold=self._threshold,
            false_alarm_rate=self._false_alarm_rate,
            anomalous=np.zeros(len(windows), np.bool_),
            predicted=np.full((len(windows), TARGET_FRAMES, FRAME_BINS), np.nan, np.float32),
            rung=self._rung,
        )

    def _scores(self, outputs: ModelOutputs) -> dict[str, NDArray[np.float32]]:
        found = {"error": outputs.error_db}
        if outputs.whitened is not None:
            found["whitened"] = outputs.whitened
        if outputs.bands is not None:
            found["band"] = np.abs(outputs.bands).max(axis=1)
            earlier = outputs.bands[:0] if self._earlier is None else self._earlier
            found["standing"], self._earlier = standing_scores(outputs.bands, earlier, self._stride_frames)
        scores = {name: found[name] for name in self._normal}
        if self._combines:
            scores["combined"] = combined_scores(found, self._normal)
        return scores


def _score_in_force(model: ScoringModel, wanted: ScoreChoice) -> str:
    content = model.manifest.content
    if wanted == "default" or wanted in content.score_names:
        return content.default_score if wanted == "default" else wanted
    _log.warning(
        "the model is not calibrated for the wanted score; its default is used",
        model=model.name,
        wanted=wanted,
        score=content.default_score,
    )
    return content.default_score
