"""What a cell sends, as a grid of resource elements, 40 ms at a time.

Source: 3GPP TS 36.211, 6.3 to 6.11. Control and data carry random QPSK symbols of the power of the reference signals.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.control import LARGEST_SYMBOLS, ControlRegion
from bandwatch.lte.grid import lay_out_frame
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, FRAME_SUBFRAMES, FRAME_SYMBOLS, SUBFRAME_SYMBOLS
from bandwatch.lte.sequences import gold_sequence, qpsk
from bandwatch.lte.traffic import Traffic

BLOCK_FRAMES: Final = 4
"""Radio frames over which the broadcast channel repeats one message (6.6.1)."""
BLOCK_SUBFRAMES: Final = BLOCK_FRAMES * FRAME_SUBFRAMES
"""Subframes in a piece of 40 ms."""

_BROADCAST_BITS: Final = 1920
_MESSAGE_BITS: Final = 120  # coded bits of one message, repeated until they fill 1920 (TS 36.212, 5.3.1.3)
_SILENT: Final = 4
_SYMBOLS: Final = np.concatenate([qpsk(np.array([0, 0, 0, 1, 1, 0, 1, 1], np.uint8)), np.zeros(_SILENT, np.complex64)])


class Downlink:
    """The endless sequence of a cell's resource grids."""

    def __init__(self, cell_identity: int, resource_blocks: int, load: float, seed: np.random.SeedSequence) -> None:
        traffic_seed, content_seed = seed.spawn(2)
        self._layout = lay_out_frame(cell_identity, resource_blocks)
        self._control = ControlRegion(cell_identity, resource_blocks)
        self._traffic = Traffic(resource_blocks, load, np.random.Generator(np.random.SFC64(traffic_seed)))
        self._content = np.random.Generator(np.random.SFC64(content_seed))
        self._scrambling = gold_sequence(cell_identity, _BROADCAST_BITS).reshape(BLOCK_FRAMES, -1)
        self._taken = ~self._layout.free

    def next_grid(self) -> NDArray[np.complex64]:
        """Return the resource elements of the next 40 ms, complex64 [560, subcarriers]; used ones have unit power."""
        in_use = self._in_use()
        codes = self._content.integers(0, _SILENT, in_use.shape, np.uint8)
        codes[~in_use] = _SILENT
        frames: NDArray[np.complex64] = _SYMBOLS[codes].reshape(BLOCK_FRAMES, FRAME_SYMBOLS, -1)
        np.copyto(frames, self._layout.fixed, where=self._taken)
        frames.reshape(BLOCK_FRAMES, -1)[:, self._layout.broadcast] = self._broadcast()
        return frames.reshape(BLOCK_FRAMES * FRAME_SYMBOLS, -1)

    def _in_use(self) -> NDArray[np.bool_]:
        """Return where control and data go if nothing else does, bool [40, 14, subcarriers]."""
        schedule = self._traffic.next_subframes(BLOCK_SUBFRAMES)
        control_symbols, control = self._control.fill(schedule.grants, self._content)
        data = np.repeat(schedule.blocks, BLOCK_SUBCARRIERS, axis=1)
        in_use = np.repeat(data[:, np.newaxis], SUBFRAME_SYMBOLS, axis=1)
        after_control = np.arange(LARGEST_SYMBOLS) >= control_symbols[:, np.newaxis]
        in_use[:, :LARGEST_SYMBOLS] &= after_control[:, :, np.newaxis]
        in_use[:, :LARGEST_SYMBOLS] |= control
        return in_use

    def _broadcast(self) -> NDArray[np.complex64]:
        """Return one message repeated in four frames, each with its quarter of the scrambling, complex64 [4, 240]."""
        message = self._content.integers(0, 2, _MESSAGE_BITS, np.uint8)
        return qpsk(np.resize(message, self._scrambling.shape) ^ self._scrambling)
