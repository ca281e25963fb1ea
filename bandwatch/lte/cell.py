"""A simulated LTE cell as an observer receives it: an endless stream of samples."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.channel import Channel, ChannelConfig
from bandwatch.lte.downlink import BLOCK_SUBFRAMES, Downlink
from bandwatch.lte.numerology import Numerology

_BLOCK_SLOTS: Final = 2 * BLOCK_SUBFRAMES


@dataclass(frozen=True)
class CellConfig:
    """A cell of LTE in FDD with one antenna port and the normal cyclic prefix.

    Attributes:
        cell_identity: Physical-layer identity, 0 to 503, which fixes the synchronisation and reference signals.
        resource_blocks: 6, 15, 25 or 50: the width of the cell in steps of 180 kHz.
        load: Share of the resource blocks that users ask for, 0 to 1.
    """

    cell_identity: int
    resource_blocks: int = 25
    load: float = 0.5


class SimulatedCell:
    """What a receiver tuned to the middle of the cell hears; the same seed gives the same stream.

    Raises:
        InvalidArgumentError: The configuration cannot be simulated.
    """

    def __init__(self, config: CellConfig, channel: ChannelConfig, seed: int) -> None:
        sent, way, noise = np.random.SeedSequence(seed).spawn(3)
        self._numerology = Numerology(config.resource_blocks)
        self._downlink = Downlink(config.cell_identity, config.resource_blocks, config.load, sent)
        self._channel = Channel(
            channel,
            self._numerology.subcarrier_hz(),
            self._numerology.symbol_times_s(_BLOCK_SLOTS),
            BLOCK_SUBFRAMES * 1e-3,
            way,
        )
        self._noise = np.random.Generator(np.random.SFC64(noise))
        self._level = np.float32(10 ** (channel.level_dbfs / 20))
        used_share = self._numerology.subcarriers / self._numerology.fft_size
        noise_power = 10 ** ((channel.level_dbfs - channel.signal_to_noise_db) / 10) / used_share
        self._noise_level = np.float32(np.sqrt(noise_power / 2))
        self._block = np.empty(0, np.complex64)

    @property
    def sample_rate_hz(self) -> float:
        """Samples in a second."""
        return self._numerology.sample_rate_hz

    @property
    def speed_mps(self) -> float:
        """Speed of the observer, 0 when it is static."""
        return self._channel.speed_mps

    def read(self, count: int) -> NDArray[np.complex64]:
        """Return the next samples, complex64 [count]; a full-scale tone has magnitude 1.

        Raises:
            InvalidArgumentError: The count is negative.
        """
        if count < 0:
            raise InvalidArgumentError(f"cannot read {count} samples: ask for 0 or more")
        samples = np.empty(count, np.complex64)
        filled = 0
        while filled < count:
            if not len(self._block):
                self._block = self._next_block()
            piece = self._block[: count - filled]
            samples[filled : filled + len(piece)] = piece
            self._block = self._block[len(piece) :]
            filled += len(piece)
        return samples

    def _next_block(self) -> NDArray[np.complex64]:
        """Return the samples of the next 40 ms."""
        received = self._channel.next_block()
        received *= self._level
        received *= self._downlink.next_grid()
        samples = self._numerology.modulate(received).reshape(-1)
        noise = self._noise.standard_normal(2 * len(samples), np.float32)
        noise *= self._noise_level
        samples += noise.view(np.complex64)
        return samples
