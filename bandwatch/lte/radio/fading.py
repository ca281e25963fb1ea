"""Multipath fading as sums of plane waves from all around (Jakes' model).

Source: 3GPP TS 36.101, annex B.2: delay profiles, and the classical Doppler spectrum.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WAVES: Final = 16
_ROWS_AT_ONCE: Final = 256  # so that what is computed on the way stays in the cache


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
PROFILES: Final = {"epa": PEDESTRIAN, "eva": VEHICULAR, "etu": URBAN}
"""The delay profiles by the names that the standard gives them."""


class Fading:
    """Rayleigh fading of independent taps as a function of time; each gain has unit mean power.

    The Doppler shift is that of all taps, or float64 [taps].
    """

    def __init__(self, taps: int, doppler_hz: float | NDArray[np.float64], rng: np.random.Generator) -> None:
        arrival = 2 * np.pi * (np.arange(_WAVES) + rng.random((taps, _WAVES))) / _WAVES
        self._waves_hz = np.broadcast_to(doppler_hz, taps)[:, np.newaxis] * np.cos(arrival)
        self._starts = rng.random((taps, _WAVES))

    def gains(self, times_s: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the gains of all taps at some times, complex64 [times, taps]."""
        return _sums_of_waves(times_s[:, np.newaxis, np.newaxis] * self._waves_hz + self._starts)

    def gains_of(self, taps: NDArray[np.int64], times_s: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the gains of some taps int64 [n, k], each row at a time of its own, complex64 [n, k]."""
        gains = np.empty(taps.shape, np.complex64)
        for start in range(0, len(taps), _ROWS_AT_ONCE):
            rows = slice(start, start + _ROWS_AT_ONCE)
            turns = self._waves_hz[taps[rows]]
            turns *= times_s[rows, np.newaxis, np.newaxis]
            turns += self._starts[taps[rows]]
            gains[rows] = _sums_of_waves(turns)
        return gains


def _sums_of_waves(turns: NDArray[np.float64]) -> NDArray[np.complex64]:
    """Add up waves that have turned as often as float64 [n, k, waves] says to gains complex64 [n, k]."""
    angles = (turns - np.floor(turns)).astype(np.float32)  # an hour's turns would be too many for single precision
    angles *= np.float32(2 * np.pi)
    ones = np.full(_WAVES, 1 / np.sqrt(_WAVES), np.float32)
    gains = np.empty(angles.shape[:2], np.complex64)
    gains.real, gains.imag = np.cos(angles) @ ones, np.sin(angles) @ ones
    return gains
