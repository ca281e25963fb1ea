"""False alarms and detections: at thresholds, and at every threshold."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training_worker.learning.calibration import FALSE_ALARM_RATES

ROC_RATES: Final = (0.0, *FALSE_ALARM_RATES, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""False-alarm rates of the points of a receiver operating characteristic."""
PARTIAL: Final = 0.1
"""False-alarm rate up to which a partial area is taken: nobody works with more."""

Values = npt.NDArray[np.float32]


def exceeding(scores: Values, threshold: float) -> float:
    """Return the share of scores [n] above a threshold."""
    return float(np.mean(scores > threshold))


def matched_threshold(clean: Values, rate: float) -> float:
    """Return the lowest of the scores [n] of clean windows that no more than a share `rate` of them exceeds."""
    descending = np.sort(clean)[::-1]
    return float(descending[min(int(rate * len(clean) + 1e-9), len(clean) - 1)])


def detections(clean: Values, anomalous: Values, rates: Sequence[float]) -> list[float]:
    """Return the share of anomalous windows detected at each false-alarm rate, the threshold matched to clean ones."""
    return [1.0 if rate >= 1 else exceeding(anomalous, matched_threshold(clean, rate)) for rate in rates]


def area(clean: Values, anomalous: Values, up_to: float = 1.0) -> float:
    """Return the mean detection rate over all false-alarm rates up to one.

    Up to 1 that is the area under the receiver operating characteristic: the chance that an anomalous window scores
    above a clean one (Hanley and McNeil, Radiology 143, 1982). It steps down at every clean score.
    """
    descending = np.sort(clean)[::-1]
    detected = 1 - np.searchsorted(np.sort(anomalous), descending, side="right") / len(anomalous)
    edges = np.minimum(np.arange(len(clean) + 1) / len(clean), up_to)
    return float(np.diff(edges) @ detected / up_to)
