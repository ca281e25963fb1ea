"""Multipath fading as sums of plane waves from all around (Jakes' model).

Source: 3GPP TS 36.101, annex B.2: delay profiles, and the classical Doppler spectrum.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WAVES: Final = 16


@dataclass(frozen=True)
class DelayProfile:
    """The echoes of a kind of surroundings: delay and relative power of each tap."""

    delays_ns: tuple[float, ...]
    powers_db: tuple[float, ...]

    def amplitudes(self) -> NDArray[np.float64]:
        """Return the amplitude of each tap, float64 [taps], for a total power of 1."""
        powers = 10 ** (np.array(self.powers_db) / 10)
        amplitudes: NDArray[np.float64] = np.sqrt(powers / powers.sum())
        return amplitudes

    def turns(self, subcarrier_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return how each tap's delay turns each subcarrier, complex64 [taps, subcarriers]."""
        turns: NDArray[np.complex64] = np.exp(-2e-9j * np.pi * np.outer(self.delays_ns, subcarrier_hz)).astype(
            np.complex64
        )
        return turns


PEDESTRIAN: Final = DelayProfile((0, 30, 70, 90, 110, 190, 410), (0, -1, -2, -3, -8, -17.2, -20.8))
"""EPA (table B.2.1-2)."""
VEHICULAR: Final = DelayProfile(
    (0, 30, 150, 310, 370, 710, 1090, 1730, 2510), (0, -1.5, -1.4, -3.6, -0.6, -9.1, -7, -12, -16.9)
)
"""EVA (table B.2.1-3)."""
URBAN: Final = DelayProfile((0, 50, 120, 200, 230, 500, 1600, 2300, 5000), (-1, -1, -1, 0, 0, 0, -3, -5, -7))
"""ETU (table B.2.1-4)."""


class Fading:
    """Rayleigh fading of independent taps, block after block of the same length; each gain has unit mean power."""

    def __init__(
        self, taps: int, doppler_hz: float, times_s: NDArray[np.float64], block_s: float, rng: np.random.Generator
    ) -> None:
        arrival = 2 * np.pi * (np.arange(_WAVES) + rng.random((taps, _WAVES))) / _WAVES
        self._waves_hz = doppler_hz * np.cos(arrival)
        self._phases = rng.uniform(0, 2 * np.pi, (taps, _WAVES))
        within = np.exp(2j * np.pi * times_s[:, np.newaxis] * self._waves_hz[:, np.newaxis]) / np.sqrt(_WAVES)
        self._within_block = within.astype(np.complex64)
        self._block_s = block_s
        self._blocks = 0

    def next_block(self) -> NDArray[np.complex64]:
        """Return the gains at the times of the next block, complex64 [times, taps]."""
        start = np.exp(1j * (2 * np.pi * self._waves_hz * self._blocks * self._block_s + self._phases))
        self._blocks += 1
        gains: NDArray[np.complex64] = np.einsum("ktw,kw->tk", self._within_block, start.astype(np.complex64))
        return gains
