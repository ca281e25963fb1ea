"""What error is normal: statistics and thresholds from windows that were never fitted.

Errors of fitted windows are optimistic, and a threshold taken from them floods the operator with false alarms. So:

- A dense-only student is cross-fitted: for each fold of blocks of time the dense layer is solved on the other folds,
  and the errors of the fold that was left out are collected (`exact.held_out_errors_db`). All data serve the
  calibration that way, and all of them the released weights, which are solved once more on everything.
- A network fitted by Adam is too dear for that. Its errors are those of the one fold that stopped the fit early: no
  gradient ever saw it, and choosing among a few dozen epochs by its mean bends it little.

A student's parent is measured unadapted on exactly the same windows.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from bandwatch.artifacts.manifest import ErrorStatistics, Threshold
from training_worker.learning.dataset import Indices, WindowSet, batches
from training_worker.learning.networks import LstmPredictor, Scorer

FALSE_ALARM_RATES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Rates that every model comes calibrated for."""
_SCORED_AT_ONCE: Final = 256

Errors = npt.NDArray[np.float32]


def errors_db(
    predictor: LstmPredictor, windows: WindowSet, indices: Indices, report: Callable[[float], None]
) -> Errors:
    """Return float32 [n]: the error in dB of the windows with those numbers; `report` hears the share done."""
    scorer = Scorer(predictor).eval()
    errors = np.empty(len(indices), dtype=np.float32)
    done = 0
    with torch.inference_mode():
        for batch in batches(indices, _SCORED_AT_ONCE):
            error, _ = scorer(torch.from_numpy(windows.gather(batch)))
            errors[done : done + len(batch)] = error.numpy()
            done += len(batch)
            report(done / len(indices))
    return errors


def error_statistics(errors: Errors) -> ErrorStatistics:
    """Return mean, deviation and number of held-out errors [n] in dB."""
    wide = errors.astype(np.float64)
    return ErrorStatistics(mean_db=float(wide.mean()), deviation_db=float(wide.std()), windows=len(wide))


def thresholds(errors: Errors) -> tuple[Threshold, ...]:
    """Return for every rate the Gaussian and the empirical threshold of held-out errors [n] in dB.

    Gaussian: mean plus z times deviation (seed paper). Empirical: the smallest error seen that no more than the stated
    share exceeds; with fewer windows than a rate can be resolved with, that is the largest one.
    """
    normal = error_statistics(errors)
    return tuple(
        Threshold(
            false_alarm_rate=rate,
            gaussian_db=max(0.0, normal.mean_db + float(stats.norm.isf(rate)) * normal.deviation_db),
            empirical_db=float(np.quantile(errors, 1 - rate, method="inverted_cdf")),
        )
        for rate in FALSE_ALARM_RATES
    )
