"""Every score that a calibrated model gives windows, as an observer computes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from bandwatch.artifacts.manifest import ScoreTable
from bandwatch.spectrogram.bands import TARGET_FRAMES
from bandwatch.spectrogram.scoring import STANDING_WINDOWS, combined_scores, standing_scores
from bandwatch.spectrogram.windows import cut_windows
from training_worker.learning.calibration import Calibration
from training_worker.learning.networks import Predictor
from training_worker.learning.scores import Scorer, ScoreStatistics, no_statistics

_SCORED_AT_ONCE: Final = 256

Codes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]
Scores = dict[str, Values]
"""float32 [n] by the name of the score."""


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a graph says of windows: error in dB [n], whitened score [n], and band residuals [n, bands]."""

    error_db: Values
    whitened: Values
    bands: Values


@dataclass(frozen=True, eq=False)
class Judge:
    """A model and how its scores are spread over normal windows."""

    outputs_of: Callable[[Codes], Outputs]
    tables: Sequence[ScoreTable]

    def outputs(self, windows: Codes) -> Outputs:
        """Return what the model says of windows uint8 [n, 125, 128], computed in batches."""
        starts = range(0, max(1, len(windows)), _SCORED_AT_ONCE)
        parts = [self.outputs_of(np.array(windows[at : at + _SCORED_AT_ONCE], order="C")) for at in starts]
        return Outputs(
            np.concatenate([part.error_db for part in parts]),
            np.concatenate([part.whitened for part in parts]),
            np.concatenate([part.bands for part in parts]),
        )

    def in_order(self, outputs: Outputs, stride_frames: int) -> Scores:
        """Return the scores of windows that follow one another from the beginning of a stream."""
        standing, _ = standing_scores(outputs.bands, outputs.bands[:0], stride_frames)
        return self._scores(outputs, standing)

    def after(self, outputs: Outputs, clean: Outputs, stride_frames: int) -> Scores:
        """Return the scores of windows each of which takes the place of the clean one of its number in a stream."""
        kept = (STANDING_WINDOWS - 1) * -(-TARGET_FRAMES // stride_frames)
        standing = [
            standing_scores(outputs.bands[at : at + 1], clean.bands[max(0, at - kept) : at], stride_frames)[0]
            for at in range(len(outputs.bands))
        ]
        return self._scores(outputs, np.concatenate([np.empty(0, np.float32), *standing]))

    def alone(self, outputs: Outputs) -> Scores:
        """Return the scores of windows each of which comes right after a gap: nothing is known of before."""
        return self._scores(outputs, np.abs(outputs.bands).max(axis=1, initial=0))

    def _scores(self, outputs: Outputs, standing: Values) -> Scores:
        known = {
            "error": outputs.error_db,
            "whitened": outputs.whitened,
            "band": np.abs(outputs.bands).max(axis=1, initial=0),
            "standing": standing,
        }
        single = [table for table in self.tables if table.score != "combined"]
        scores: Scores = {table.score: known[table.score] for table in single}
        if len(single) < len(self.tables):
            normal: dict[str, tuple[float, float]] = {t.score: (t.log_mean, t.log_deviation) for t in single}
            scores["combined"] = combined_scores(known, normal)
        return scores


def judge_of(predictor: Predictor, calibration: Calibration) -> Judge:
    """Return the judge that a predictor and its calibration make, in torch."""
    return Judge(_outputs_in_torch(predictor, calibration.statistics), calibration.tables)


def errors_on(predictor: Predictor, codes: Codes, stride_frames: int) -> Values:
    """Return the error in dB of every window of frames uint8 [frames, 128], float32 [n]."""
    judge = Judge(_outputs_in_torch(predictor, no_statistics()), ())
    return judge.outputs(cut_windows(codes, stride_frames)).error_db


def _outputs_in_torch(predictor: Predictor, statistics: ScoreStatistics) -> Callable[[Codes], Outputs]:
    scorer = Scorer(predictor, statistics).eval()

    def outputs_of(windows: Codes) -> Outputs:
        with torch.inference_mode():
            error_db, _, whitened, bands = scorer(torch.from_numpy(windows))
        return Outputs(error_db.numpy(), whitened.numpy(), bands.numpy())

    return outputs_of
