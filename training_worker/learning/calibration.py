"""What is normal: scores, and thresholds for stated false-alarm rates, from windows that were never fitted.

Errors of fitted windows are optimistic, and a threshold taken from them floods the operator with false alarms. So:

- A model whose dense layer is solved exactly is cross-fitted: for each fold of blocks of time the layer is solved on
  the other folds, and what is left over in the fold that was left out is collected (`exact.left_over`). All data serve
  the calibration that way, and all of them the released weights, which are solved once more on everything.
- A network fitted by Adam is too dear for that. What it leaves over is that of the one fold that stopped the fit early:
  no gradient ever saw it, and choosing among a few dozen epochs by its mean bends it little.

The scores have statistics of their own (`scores`), which are cross-fitted again: no window is scored with statistics
that it took part in. A student's parent is measured unadapted on exactly the same windows.

Three thresholds stand in the table of each score. Gaussian: mean plus z times deviation (seed paper). Empirical: the
quantile of the scores. Bound, the default, does not trust few or dependent windows (`spread`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from bandwatch.artifacts.manifest import ErrorStatistics, ScoreTable, Threshold
from bandwatch.spectrogram import scoring
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, FRAME_SECONDS, INPUT_FRAMES
from training_worker.learning.dataset import FOLDS, Indices, WindowSet, batches
from training_worker.learning.networks import Predictor, standardise
from training_worker.learning.scores import ScoreStatistics, choose_shrinkage, fit_statistics
from training_worker.learning.spread import effective_windows, spread_of

FALSE_ALARM_RATES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Rates that every model comes calibrated for."""
DEFAULT_SCORE: Final = "combined"
"""The score that judges windows unless an operator chooses another: it detects most at a given rate."""
DRIFT: Final = {"error": 0.1, "whitened": 0.1, "band": 0.17, "standing": 0.33, "combined": 1.15}
"""How far the mean of a score moves from one half second of a real cell to the next, as a deviation.

In natural logarithms, and in its own deviations for the combined one; docs/science.md says how it was measured.
"""
DRIFT_SHOWS_S: Final = 60.0
"""From so many seconds of data on, they show their drift themselves."""
_SCORED_AT_ONCE: Final = 256
_SMALLEST: Final = 1e-6
_LARGEST: Final = 1e6  # what a manifest takes: next to nothing is known, and nothing shall be flagged

Errors = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeftOver:
    """What predictions left over of windows that were not fitted, in order of fold, segment and time.

    Attributes:
        error_db: float32 [n], the error of each window.
        residual_db: float32 [n, 128], measured less predicted level in dB, its mean over the 25 target frames.
        fold: int64 [n], folds that statistics can be cross-fitted by.
        run: int64 [n], windows of one number follow one another, `stride_frames` apart.
        stride_frames: Frames between the starts of windows.
    """

    error_db: Errors
    residual_db: npt.NDArray[np.float32]
    fold: Indices
    run: Indices
    stride_frames: int

    @property
    def seconds(self) -> float:
        """Time that the windows cover, each up to the start of the next."""
        return len(self.run) * self.stride_frames * FRAME_SECONDS


@dataclass(frozen=True, eq=False)
class Calibration:
    """Statistics for the graph, and the tables of all scores."""

    statistics: ScoreStatistics
    tables: tuple[ScoreTable, ...]


def left_over(predictor: Predictor, windows: WindowSet, indices: Indices, report: Callable[[float], None]) -> LeftOver:
    """Return what a predictor leaves over of the windows with those numbers; `report` hears the share done.

    Statistics can be cross-fitted by five stretches of these windows.
    """
    indices = windows.in_order(indices)
    error = np.empty(len(indices), np.float32)
    residual = np.empty((len(indices), FRAME_BINS), np.float32)
    done = 0
    with torch.inference_mode():
        for batch in batches(indices, _SCORED_AT_ONCE):
            standardised, _, deviation = standardise(torch.from_numpy(windows.gather(batch)))
            rest = standardised[:, INPUT_FRAMES:] - predictor(standardised[:, :INPUT_FRAMES])
            rest *= CODE_STEP_DB * deviation
            error[done : done + len(batch)] = rest.square().mean((1, 2)).sqrt().numpy()
            residual[done : done + len(batch)] = rest.mean(1).numpy()
            done += len(batch)
            report(done / len(indices))
    run = windows.runs(indices)
    return LeftOver(error, residual, five_stretches(len(run)), run, windows.stride_frames)


def errors_db(predictor: Predictor, windows: WindowSet, indices: Indices, report: Callable[[float], None]) -> Errors:
    """Return float32 [n]: the error in dB of the windows with those numbers; `report` hears the share done."""
    order = windows.in_order(indices)
    errors = np.empty(len(windows), np.float32)
    errors[order] = left_over(predictor, windows, order, report).error_db
    return errors[indices]


def error_statistics(errors: Errors) -> ErrorStatistics:
    """Return mean, deviation and number of held-out errors [n] in dB."""
    wide = errors.astype(np.float64)
    return ErrorStatistics(mean_db=float(wide.mean()), deviation_db=float(wide.std()), windows=len(wide))


def calibrate(rest: LeftOver) -> Calibration:
    """Return statistics fitted on all that is left over, and tables from scores with cross-fitted statistics."""
    residuals = rest.residual_db.astype(np.float64)
    shrinkage = choose_shrinkage(residuals, rest.fold)
    values = scores_of(rest, _cross_fitted(residuals, rest.fold, shrinkage))
    tables = [_table(name, score, rest) for name, score in values.items()]
    normal: dict[str, tuple[float, float]] = {t.score: (t.log_mean, t.log_deviation) for t in tables}
    combined = scoring.combined_scores(values, normal)
    return Calibration(fit_statistics(residuals, shrinkage), (*tables, _table("combined", combined, rest)))


def scores_of(rest: LeftOver, whitened_and_bands: tuple[Values, Values]) -> dict[str, Errors]:
    """Return every score but the combined one, float32 [n] by name."""
    whitened, bands = (values.astype(np.float32) for values in whitened_and_bands)
    standing = np.empty(len(whitened), np.float32)
    for rows in np.split(np.arange(len(rest.run)), np.flatnonzero(np.diff(rest.run)) + 1):
        standing[rows], _ = scoring.standing_scores(bands[rows], bands[:0], rest.stride_frames)
    return {"error": rest.error_db, "whitened": whitened, "band": np.abs(bands).max(1), "standing": standing}


def _cross_fitted(residuals: Values, folds: Indices, shrinkage: float) -> tuple[Values, Values]:
    """Return whitened scores and band residuals, those of each fold by the statistics of the other folds."""
    whitened, bands = np.empty(len(residuals)), np.empty((len(residuals), 0))
    for fold in np.unique(folds):
        unseen = folds == fold
        fitted = residuals[~unseen] if not unseen.all() else residuals
        score, rows = fit_statistics(fitted, shrinkage).apply(residuals[unseen])
        if not bands.size:
            bands = np.empty((len(residuals), rows.shape[1]))
        whitened[unseen], bands[unseen] = score, rows
    return whitened, bands


def _table(score: str, values: Errors, rest: LeftOver) -> ScoreTable:
    """Return the table of a score: its spread in logarithms, but for the combined one, which is made of them."""
    wide = values.astype(np.float64)
    logarithmic = score != "combined"
    drift = DRIFT[score] if rest.seconds < DRIFT_SHOWS_S else 0.0
    spread = spread_of(
        np.log(np.maximum(wide, _SMALLEST)) if logarithmic else wide, rest.run, rest.stride_frames, drift
    )
    thresholds = tuple(
        Threshold(
            false_alarm_rate=rate,
            gaussian=float(wide.mean() + stats.norm.isf(rate) * wide.std()),
            empirical=float(np.quantile(wide, 1 - rate, method="inverted_cdf")),
            bound=_in_score_units(spread.bound(rate), logarithmic=logarithmic),
        )
        for rate in FALSE_ALARM_RATES
    )
    mean, deviation = (float(spread.values.mean()), max(spread.deviation, _SMALLEST)) if logarithmic else (0.0, 1.0)
    return ScoreTable.model_validate(
        {"score": score, "log_mean": mean, "log_deviation": deviation, "thresholds": thresholds}
    )


def _in_score_units(bound: float, *, logarithmic: bool) -> float:
    return float(np.exp(min(bound, np.log(_LARGEST)))) if logarithmic else min(bound, _LARGEST)


def needed_seconds(rest: LeftOver, rate: float) -> float:
    """Return how many seconds of such data hold the 1 / rate - 1 independent windows that can show a rate."""
    effective = effective_windows(rest.error_db.astype(np.float64), rest.run, rest.stride_frames)
    return (1 / rate - 1) / effective * max(rest.seconds, FRAME_SECONDS)


def five_stretches(count: int) -> Indices:
    """Return numbers 0 to 4 for five stretches of windows in order, of about one size."""
    return np.arange(count, dtype=np.intp) * FOLDS // max(1, count)
