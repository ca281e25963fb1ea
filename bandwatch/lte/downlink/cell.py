"""A simulated LTE cell as an observer receives it: an endless stream of samples."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.signal import BLOCK_SUBFRAMES, Downlink
from bandwatch.lte.numerology import SUBFRAME_SYMBOLS, Numerology
from bandwatch.lte.radio.channel import Channel, ChannelConfig
from bandwatch.lte.radio.propagation import Shadowing
from bandwatch.lte.radio.stream import SampleStream

__all__ = ["CellConfig", "SimulatedCell"]

_BLOCK_S: Final = BLOCK_SUBFRAMES * 1e-3


class SimulatedCell(SampleStream):
    """What a receiver tuned to the middle of the cell hears; the same seed gives the same stream.

    The ways from the antennas of a cell fade independently (TS 36.101, B.2.3.2, low correlation), under one shadowing.

    Raises:
        InvalidArgumentError: The configuration cannot be simulated.
    """

    def __init__(self, config: CellConfig, channel: ChannelConfig, seed: int) -> None:
        sent, way, noise, shadowing = np.random.SeedSequence(seed).spawn(4)
        super().__init__(Numerology(config.resource_blocks), channel.level_dbfs - channel.signal_to_noise_db, noise)
        self._downlink = Downlink(config, sent)
        self._channels = self._channels_of(replace(channel, shadowing_db=0.0), way.spawn(config.ports))
        self._shadowing = Shadowing(channel.shadowing_db if self.speed_mps else 0.0, np.random.default_rng(shadowing))
        self._level_dbfs = channel.level_dbfs
        self._blocks = 0

    @property
    def speed_mps(self) -> float:
        """Speed of the observer, 0 when it is static."""
        return self._channels[0].speed_mps

    def _next_signal(self) -> NDArray[np.complex64]:
        """Return the samples of the next 40 ms without noise."""
        first, *others = zip(self._downlink.next_grid(), self._channels, strict=True)
        received = first[1].next_block()
        received *= first[0]
        for grid, channel in others:
            received += channel.next_block() * grid
        received *= self._next_levels()[:, np.newaxis]
        return self._numerology.modulate(received).reshape(-1)

    def _next_levels(self) -> NDArray[np.float32]:
        """Return the amplitude of the cell in each symbol of the next block, float32 [560].

        Shadowing hardly bends within 40 ms, in which the fastest observer goes a metre, so it is a straight line there.
        """
        way_m = self.speed_mps * _BLOCK_S * np.array([self._blocks, self._blocks + 1])
        self._blocks += 1
        start_db, end_db = self._level_dbfs + self._shadowing.level_db(way_m, np.zeros_like(way_m))
        levels_db = np.linspace(start_db, end_db, BLOCK_SUBFRAMES * SUBFRAME_SYMBOLS, endpoint=False)
        levels: NDArray[np.float32] = (10 ** (levels_db / 20)).astype(np.float32)
        return levels

    def _channels_of(self, config: ChannelConfig, seeds: list[np.random.SeedSequence]) -> list[Channel]:
        """Return the channel of each port; the observer has one speed."""
        hz, times_s = self._numerology.subcarrier_hz(), self._numerology.symbol_times_s(2 * BLOCK_SUBFRAMES)
        first = Channel(config, hz, times_s, _BLOCK_S, seeds[0])
        alike = replace(config, speed_mps=first.speed_mps)
        return [first, *(Channel(alike, hz, times_s, _BLOCK_S, seed) for seed in seeds[1:])]
