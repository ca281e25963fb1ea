"""Gives samples their moments."""

from datetime import datetime, timedelta
from typing import Final

_LONGEST_LAG: Final = timedelta(seconds=5)
"""A stream that lags the clock by more than this was outrun, or the clock was set: its moments start afresh."""


class SampleClock:
    """The moment of every sample: an anchor plus samples at the nominal rate.

    The anchor stays while the stream is continuous, so moments within it are exact to each other. It moves where
    the end of a block would lie in the future (a recording played faster than the air), after a discontinuity, and
    where the stream has fallen far behind the clock.
    """

    def __init__(self, sample_rate_hz: float) -> None:
        self._rate_hz = sample_rate_hz
        self._anchor_at: datetime | None = None

    def arrived(self, end_sample: int, now: datetime, *, discontinuity: bool = False) -> None:
        """Note that a block that ends before `end_sample` arrived at `now`, an aware UTC moment."""
        offset = timedelta(seconds=end_sample / self._rate_hz)
        if self._anchor_at is not None and not discontinuity:
            lag = now - (self._anchor_at + offset)
            if timedelta(0) <= lag <= _LONGEST_LAG:
                return
        self._anchor_at = now - offset

    def moment_of(self, sample: float) -> datetime:
        """Return the aware UTC moment of a sample; `arrived` was called before."""
        if self._anchor_at is None:
            raise AssertionError("no block has arrived yet, so no sample has a moment")
        return self._anchor_at + timedelta(seconds=sample / self._rate_hz)
