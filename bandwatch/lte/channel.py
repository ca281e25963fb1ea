"""The way from the cell to the observer: multipath with Doppler, shadowing, and a level above the noise.

Fading is one gain per OFDM symbol and subcarrier: echoes later than the cyclic prefix and movement within a symbol blur
nothing. At 25 m/s and 2.6 GHz the second would add interference 35 dB below the signal.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.fading import PEDESTRIAN, URBAN, VEHICULAR, DelayProfile, Fading
from bandwatch.lte.numerology import SLOT_SYMBOLS

SPEED_OF_LIGHT_MPS: Final = 299_792_458.0
"""Metres that light covers in a second."""

_SURROUNDINGS_MPS: Final = 0.1  # people and leaves move even around a fixed aerial
_STEADY_SHARE: Final = 0.95  # of the power at a fixed aerial
_CORRELATION_M: Final = 50.0  # of shadowing (TR 36.814, A.2.1.1)


@dataclass(frozen=True)
class _Movement:
    """How an observer moves: the surroundings it may meet, its speeds, and the share of power that never fades."""

    profiles: tuple[DelayProfile, ...]
    slowest_mps: float
    fastest_mps: float
    steady_share: float


_MOVEMENTS: Final = {
    "static": _Movement((PEDESTRIAN,), 0.0, 0.0, _STEADY_SHARE),
    "walking": _Movement((PEDESTRIAN,), 1.4, 1.4, 0.0),
    "driving": _Movement((VEHICULAR, URBAN), 15.0, 25.0, 0.0),
}
MOBILITIES: Final = tuple(_MOVEMENTS)
"""The kinds of movement."""


@dataclass(frozen=True)
class ChannelConfig:
    """How an observer receives a cell.

    Attributes:
        mobility: "static", "walking" or "driving".
        signal_to_noise_db: Power of a resource element in use over the noise in it: the mean over fading, and the
            median over shadowing.
        carrier_hz: Carrier frequency, which turns speed into Doppler shift.
        level_dbfs: Mean power that the cell would have with every resource element in use, relative to full scale.
        shadowing_db: Standard deviation of the shadowing along the way of a moving observer.

    Raises:
        InvalidArgumentError: A value makes no sense.
    """

    mobility: str
    signal_to_noise_db: float
    carrier_hz: float
    level_dbfs: float = -30.0
    shadowing_db: float = 6.0

    def __post_init__(self) -> None:
        if self.mobility not in _MOVEMENTS:
            raise InvalidArgumentError(f"{self.mobility!r} is no mobility: choose from {', '.join(MOBILITIES)}")
        if not (math.isfinite(self.signal_to_noise_db) and math.isfinite(self.level_dbfs)):
            raise InvalidArgumentError("the signal-to-noise ratio and the level must be finite decibels")
        if not (math.isfinite(self.carrier_hz) and self.carrier_hz > 0):
            raise InvalidArgumentError(f"{self.carrier_hz} Hz is no carrier frequency: give a positive number of hertz")
        if not (math.isfinite(self.shadowing_db) and self.shadowing_db >= 0):
            raise InvalidArgumentError(f"shadowing of {self.shadowing_db} dB makes no sense: give 0 or more")


class Channel:
    """The gain of each subcarrier in each OFDM symbol, block after block of as many slots.

    A moving observer's speed and surroundings are drawn once, from what its mobility allows.
    """

    def __init__(
        self,
        config: ChannelConfig,
        subcarrier_hz: NDArray[np.float64],
        times_s: NDArray[np.float64],
        block_s: float,
        seed: np.random.SeedSequence,
    ) -> None:
        rng = np.random.default_rng(seed)
        movement = _MOVEMENTS[config.mobility]
        self.speed_mps = float(rng.uniform(movement.slowest_mps, movement.fastest_mps))
        self.doppler_hz = max(self.speed_mps, _SURROUNDINGS_MPS) * config.carrier_hz / SPEED_OF_LIGHT_MPS
        profile = movement.profiles[int(rng.integers(len(movement.profiles)))]
        amplitudes = profile.amplitudes()
        self._turns = profile.turns(subcarrier_hz)
        self._steady = _steady_gains(amplitudes, self._turns, rng) * np.sqrt(movement.steady_share)
        self._fading = Fading(len(amplitudes), self.doppler_hz, times_s, block_s, rng)
        self._amplitudes = (amplitudes * np.sqrt(1 - movement.steady_share)).astype(np.float32)
        self._shadowing = Shadowing(config.shadowing_db, self.speed_mps * block_s, times_s / block_s, rng)

    def next_block(self) -> NDArray[np.complex64]:
        """Return the gains of the next block, complex64 [times, subcarriers]; their mean power is 1."""
        taps = self._fading.next_block() * self._amplitudes + self._steady
        taps *= 10 ** (self._shadowing.next_block()[:, np.newaxis] / 20)
        # One product per slot is too small for BLAS to call its threads, which wait by spinning.
        gains: NDArray[np.complex64] = taps.reshape(-1, SLOT_SYMBOLS, taps.shape[1]) @ self._turns
        return gains.reshape(len(taps), -1)


def _steady_gains(
    amplitudes: NDArray[np.float64], turns: NDArray[np.complex64], rng: np.random.Generator
) -> NDArray[np.complex64]:
    """Draw constant gains complex64 [taps] whose response has a mean power of exactly 1 over the subcarriers."""
    gains = amplitudes * np.exp(2j * np.pi * rng.random(len(amplitudes)))
    normal: NDArray[np.complex64] = (gains / np.sqrt(np.mean(np.abs(gains @ turns) ** 2))).astype(np.complex64)
    return normal


class Shadowing:
    """Log-normal shadowing along a straight way: its correlation falls with distance as exp(-d / 50 m) (Gudmundson)."""

    def __init__(
        self, deviation_db: float, block_m: float, positions: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self._deviation_db = deviation_db if block_m else 0.0
        self._kept = math.exp(-block_m / _CORRELATION_M)
        self._positions = positions.astype(np.float32)
        self._rng = rng
        self._level_db = self._deviation_db * rng.standard_normal()

    def next_block(self) -> NDArray[np.float32]:
        """Return the shadowing in dB at each position of the next block, float32 [positions]; positions are 0 to 1."""
        start_db = self._level_db
        fresh = math.sqrt(1 - self._kept**2) * self._deviation_db
        self._level_db = self._kept * start_db + fresh * self._rng.standard_normal()
        return np.float32(start_db) + self._positions * np.float32(self._level_db - start_db)
