"""Which segments are worth sending, and as what."""

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import FRAME_SECONDS
from observer_agent.spool.records import Purpose

_BURST_WINDOWS: Final = 3
_SMALLEST_SHARE: Final = 0.05
_TIMES_FALSE_ALARMS: Final = 5.0
_HOUR_S: Final = 3600.0


def holds_burst(anomalous: NDArray[np.bool_], false_alarm_rate: float) -> bool:
    """Tell whether anomalous windows, bool [n] in order, are more than chance.

    Three in a row, or a share above five times the false-alarm rate and above 5 %.
    """
    if not anomalous.any():
        return False
    if anomalous.mean() > max(_SMALLEST_SHARE, _TIMES_FALSE_ALARMS * false_alarm_rate):
        return True
    row = np.convolve(anomalous, np.ones(_BURST_WINDOWS), mode="valid")
    return bool((row > _BURST_WINDOWS - 0.5).any())


class EvidenceBudget:
    """Allows so many segments of evidence in any hour."""

    def __init__(self, segments_per_hour: int) -> None:
        self._limit = segments_per_hour
        self._spent_s: deque[float] = deque()

    @property
    def reserve(self) -> int:
        """Segments that are kept back for the beginnings and ends of events: half of them."""
        return self._limit // 2

    def spend(self, now_s: float, *, reserve: int = 0) -> bool:
        """Take one from the budget at a monotonic time, and tell whether there was one left beyond a reserve."""
        while self._spent_s and self._spent_s[0] <= now_s - _HOUR_S:
            self._spent_s.popleft()
        if len(self._spent_s) >= self._limit - reserve:
            return False
        self._spent_s.append(now_s)
        return True


def choose_purpose(
    anomalous: NDArray[np.bool_],
    *,
    false_alarm_rate: float,
    budget: EvidenceBudget,
    now_s: float,
    training_frames: int,
    training_target_s: float,
    captures: bool = False,
    is_turn: bool = False,
) -> Purpose | None:
    """Return why a segment is kept; None when nothing needs it.

    What shows how an event begins or ends, and the segments around it, are evidence while the budget allows; a burst
    is while half of it is left. Everything else trains until the cell's target is reached, or while
    more was asked for.
    """
    reserve = 0 if is_turn else budget.reserve
    if (is_turn or holds_burst(anomalous, false_alarm_rate)) and budget.spend(now_s, reserve=reserve):
        return Purpose.EVIDENCE
    if captures or training_frames * FRAME_SECONDS < training_target_s:
        return Purpose.TRAINING
    return None
