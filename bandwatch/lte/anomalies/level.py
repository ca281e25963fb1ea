"""The mean power of a stream, as it was up to the present."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BLOCK_SECONDS: Final = 1e-3
_REMEMBERED_BLOCKS: Final = 250


class LevelMeter:
    """A running mean of power over whole milliseconds of stream time.

    At first it is the mean of all that was heard; from a quarter of a second on, older power is slowly forgotten.
    """

    def __init__(self, sample_rate_hz: float) -> None:
        self._block = max(1, round(sample_rate_hz * _BLOCK_SECONDS))
        self._blocks = 0
        self._mean = 0.0
        self._energy = 0.0
        self._heard = 0

    @property
    def mean_power(self) -> float | None:
        """Mean power, or None before the first millisecond has passed."""
        return self._mean if self._blocks else None

    def forget_incomplete(self) -> None:
        """Leave out the millisecond that a gap in the stream has cut."""
        self._energy, self._heard = 0.0, 0

    def hear(self, iq: NDArray[np.complex64]) -> None:
        """Take in the samples complex64 [n] that come next."""
        power = iq.real**2 + iq.imag**2
        ends = range(self._block - self._heard, len(power) + 1, self._block)
        for energy in (part.sum(dtype=np.float64) for part in np.split(power, ends)[: len(ends)]):
            self._blocks += 1
            mean = (self._energy + float(energy)) / self._block
            self._mean += (mean - self._mean) / min(self._blocks, _REMEMBERED_BLOCKS)
            self._energy = 0.0
        rest = power[ends[-1] :] if ends else power
        self._energy += float(rest.sum(dtype=np.float64))
        self._heard = (self._heard + len(power)) % self._block
