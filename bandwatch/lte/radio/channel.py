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
from bandwatch.lte.numerology import SLOT_SYMBOLS
from bandwatch.lte.radio.fading import PEDESTRIAN, PROFILES, URBAN, VEHICULAR, DelayProfile, Fading
from bandwatch.lte.radio.propagation import Shadowing

SPEED_OF_LIGHT_MPS: Final = 299_792_458.0
"""Metres that light covers in a second."""

_SURROUNDINGS_MPS: Final = 0.1  # people and leaves move even around a fixed aerial
_STEADY_SHARE: Final = 0.95  # of the power at a fixed aerial


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
        profile: "epa", "eva" or "etu", the surroundings; without it, they are drawn from those that suit the mobility.
        speed_mps: Speed of a moving observer; without it, drawn from those that suit the mobility.

    Raises:
        InvalidArgumentError: A value makes no sense.
    """

    mobility: str
    signal_to_noise_db: float
    carrier_hz: float
    level_dbfs: float = -30.0
    shadowing_db: float = 6.0
    profile: str | None = None
    speed_mps: float | None = None

    def __post_init__(self) -> None:
        if self.mobility not in _MOVEMENTS:
            raise InvalidArgumentError(f"{self.mobility!r} is no mobility: choose from {', '.join(MOBILITIES)}")
        if not (math.isfinite(self.signal_to_noise_db) and math.isfinite(self.level_dbfs)):
            raise InvalidArgumentError("the signal-to-noise ratio and the level must be finite decibels")
        if not (math.isfinite(self.carrier_hz) and self.carrier_hz > 0):
            raise InvalidArgumentError(f"{self.carrier_hz} Hz is no carrier frequency: give a positive number of hertz")
        if not (math.isfinite(self.shadowing_db) and self.shadowing_db >= 0):
            raise InvalidArgumentError(f"shadowing of {self.shadowing_db} dB makes no sense: give 0 or more")
        if self.profile is not None and self.profile not in PROFILES:
            raise InvalidArgumentError(f"{self.profile!r} is no delay profile: choose from {', '.join(PROFILES)}")
        if self.speed_mps is not None and not (math.isfinite(self.speed_mps) and self.speed_mps >= 0):
            raise InvalidArgumentError(f"a speed of {self.speed_mps} m/s makes no sense: give 0 or more")
        if self.speed_mps and self.mobility == "static":
            raise InvalidArgumentError("a static observer has no speed: leave it out, or choose another mobility")


class Channel:
    """The gain of each subcarrier in each OFDM symbol: as a function of time, or block after block of as many slots.

    A moving observer's speed and surroundings are drawn once, from what its mobility allows, unless they are given.
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
        drawn_mps = float(rng.uniform(movement.slowest_mps, movement.fastest_mps))
        drawn_profile = movement.profiles[int(rng.integers(len(movement.profiles)))]
        self.speed_mps = drawn_mps if config.speed_mps is None else config.speed_mps
        self.doppler_hz = max(self.speed_mps, _SURROUNDINGS_MPS) * config.carrier_hz / SPEED_OF_LIGHT_MPS
        self._profile = drawn_profile if config.profile is None else PROFILES[config.profile]
        amplitudes = self._profile.amplitudes()
        self._turns = self._profile.turns(subcarrier_hz)
        self._steady = _steady_gains(amplitudes, self._turns, rng) * math.sqrt(movement.steady_share)
        self._fading = Fading(len(amplitudes), self.doppler_hz, rng)
        self._amplitudes = (amplitudes * math.sqrt(1 - movement.steady_share)).astype(np.float32)
        self._shadowing = Shadowing(config.shadowing_db if self.speed_mps else 0.0, rng)
        self._times_s = times_s
        self._block_s = block_s
        self._blocks = 0

    def next_block(self) -> NDArray[np.complex64]:
        """Return the gains of the next block, complex64 [times, subcarriers]; their mean power is 1."""
        taps = self._taps(self._blocks * self._block_s + self._times_s)
        self._blocks += 1
        # One product per slot is too small for BLAS to call its threads, which wait by spinning.
        gains: NDArray[np.complex64] = taps.reshape(-1, SLOT_SYMBOLS, taps.shape[1]) @ self._turns
        return gains.reshape(len(taps), -1)

    def gains_at(self, times_s: NDArray[np.float64], frequencies_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the gains that the blocks have, at other times and frequencies; blocks go on as if nothing was asked.

        Args:
            times_s: float64 [times], since the first block began.
            frequencies_hz: float64 [frequencies], relative to the carrier.

        Returns:
            The gains, complex64 [times, frequencies].
        """
        gains: NDArray[np.complex64] = self._taps(times_s) @ self._profile.turns(frequencies_hz)
        return gains

    def _taps(self, times_s: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the gain of each echo at some times, shadowing included, complex64 [times, taps]."""
        taps: NDArray[np.complex64] = self._fading.gains(times_s) * self._amplitudes + self._steady
        shadowing_db = self._shadowing.level_db(self.speed_mps * times_s, np.zeros_like(times_s))
        taps *= (10 ** (shadowing_db / 20)).astype(np.float32)[:, np.newaxis]
        return taps


def _steady_gains(
    amplitudes: NDArray[np.float64], turns: NDArray[np.complex64], rng: np.random.Generator
) -> NDArray[np.complex64]:
    """Draw constant gains complex64 [taps] whose response has a mean power of exactly 1 over the subcarriers."""
    gains = amplitudes * np.exp(2j * np.pi * rng.random(len(amplitudes)))
    normal: NDArray[np.complex64] = (gains / np.sqrt(np.mean(np.abs(gains @ turns) ** 2))).astype(np.complex64)
    return normal
