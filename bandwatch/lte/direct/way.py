"""The ways that signals take to a receiver, as gains."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.radio.channel import Channel

LevelOverTime: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Levels in dB at times float64 [n] since the stream began, float64 [n]."""


@dataclass(frozen=True)
class FadingWay:
    """The way from the antenna ports of a cell, over a fading channel each.

    Attributes:
        channels: The channel of each port.
        level_db: Power of a resource element of energy 1, without fading, relative to full scale.
        start_s: When the stream begins, in the time of the channels.
        offset_hz: The middle of the band less the carrier.
    """

    channels: Sequence[Channel]
    level_db: LevelOverTime
    start_s: float = 0.0
    offset_hz: float = 0.0

    @property
    def doppler_hz(self) -> float:
        """The largest Doppler shift."""
        return max(channel.doppler_hz for channel in self.channels)

    def gains(self, times_s: NDArray[np.float64], frequencies_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the amplitude of a resource element of energy 1, complex64 [ports, times, frequencies]."""
        there_s, hz = self.start_s + times_s, frequencies_hz + self.offset_hz
        gains = np.stack([channel.gains_at(there_s, hz) for channel in self.channels])
        gains *= (10 ** (self.level_db(times_s) / 20)).astype(np.float32)[:, np.newaxis]
        return gains


@dataclass(frozen=True)
class SteadyWay:
    """A way that changes nothing but the level; what fades is in the sender.

    Attributes:
        level_db: Power of a resource element of energy 1, relative to full scale.
        doppler_hz: How fast the level may change.
    """

    level_db: LevelOverTime
    doppler_hz: float = 1.0

    def gains(self, times_s: NDArray[np.float64], frequencies_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the amplitude of a resource element of energy 1, complex64 [1, times, frequencies]."""
        amplitude = 10 ** (self.level_db(times_s) / 20)
        return np.tile(amplitude.astype(np.complex64)[:, np.newaxis], (1, 1, len(frequencies_hz)))
