"""The resource elements of a radio frame that a cell fills alike in every frame.

Source: 3GPP TS 36.211, 6.6, 6.10.1 and 6.11; FDD, normal cyclic prefix, one antenna port.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte import sequences
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, FRAME_SUBFRAMES, FRAME_SYMBOLS, SLOT_SYMBOLS, SUBFRAME_SYMBOLS

BROADCAST_SUBCARRIERS: Final = 72
"""Subcarriers in the middle that the broadcast channel and the synchronisation signals take (6.6.4, 6.11)."""
REFERENCE_SYMBOLS: Final = (0, 4)
"""OFDM symbols of a slot that carry reference signals of antenna port 0 (6.10.1.2)."""

_BROADCAST_SYMBOLS: Final = range(SLOT_SYMBOLS, SLOT_SYMBOLS + 4)
_SYNC_SUBFRAMES: Final = (0, 5)
_SYNC_GUARD: Final = 5


@dataclass(frozen=True)
class FrameLayout:
    """What every frame of a cell has in common.

    Attributes:
        fixed: complex64 [140, subcarriers], the synchronisation and reference signals; 0 elsewhere.
        free: bool [140, subcarriers], where control and data may go.
        broadcast: int64 [240], flat positions of the broadcast channel in its order of mapping (6.6.4).
    """

    fixed: NDArray[np.complex64]
    free: NDArray[np.bool_]
    broadcast: NDArray[np.int64]


def lay_out_frame(cell_identity: int, resource_blocks: int) -> FrameLayout:
    """Return the layout of a cell's frames.

    Raises:
        InvalidArgumentError: The identity is outside 0..503.
    """
    group, identity_in_group = sequences.split_cell_identity(cell_identity)
    shape = (FRAME_SYMBOLS, resource_blocks * BLOCK_SUBCARRIERS)
    fixed, free = np.zeros(shape, np.complex64), np.ones(shape, np.bool_)
    _place_reference_signals(fixed, free, cell_identity)
    _place_synchronisation(fixed, free, group, identity_in_group)
    free[_BROADCAST_SYMBOLS.start : _BROADCAST_SYMBOLS.stop, _middle(shape[1])] = False
    return FrameLayout(fixed, free, _broadcast_positions(cell_identity, shape[1]))


def _place_reference_signals(fixed: NDArray[np.complex64], free: NDArray[np.bool_], cell_identity: int) -> None:
    """Put in the reference signals of port 0, and keep control off the places of port 1 (6.2.4, 6.10.1.2)."""
    resource_blocks = fixed.shape[1] // BLOCK_SUBCARRIERS
    for slot in range(2 * FRAME_SUBFRAMES):
        for symbol, shift in zip(REFERENCE_SYMBOLS, (0, 3), strict=True):
            row, first = slot * SLOT_SYMBOLS + symbol, (cell_identity + shift) % 6
            fixed[row, first::6] = sequences.reference_signal(cell_identity, slot, symbol, resource_blocks)
            free[row, first::6] = False
    free[::SUBFRAME_SYMBOLS, cell_identity % 3 :: 3] = False


def _place_synchronisation(
    fixed: NDArray[np.complex64], free: NDArray[np.bool_], group: int, identity_in_group: int
) -> None:
    """Put in both synchronisation signals, with five silent subcarriers on either side (6.11.1.2, 6.11.2.2)."""
    middle = _middle(fixed.shape[1])
    inside = slice(middle.start + _SYNC_GUARD, middle.stop - _SYNC_GUARD)
    for subframe in _SYNC_SUBFRAMES:
        primary = subframe * SUBFRAME_SYMBOLS + SLOT_SYMBOLS - 1
        secondary = primary - 1
        fixed[primary, inside] = sequences.primary_synchronisation(identity_in_group)
        fixed[secondary, inside] = sequences.secondary_synchronisation(group, identity_in_group, subframe)
        free[secondary : primary + 1, middle] = False


def _broadcast_positions(cell_identity: int, subcarriers: int) -> NDArray[np.int64]:
    """Return where the broadcast channel goes; it leaves out the places of four ports' reference signals (6.6.4)."""
    columns = np.arange(subcarriers)[_middle(subcarriers)]
    thinned = columns[columns % 3 != cell_identity % 3]
    positions = [
        symbol * subcarriers + (thinned if symbol in _BROADCAST_SYMBOLS[:2] else columns)
        for symbol in _BROADCAST_SYMBOLS
    ]
    return np.concatenate(positions)


def _middle(subcarriers: int) -> slice:
    """Return the 72 subcarriers in the middle."""
    start = (subcarriers - BROADCAST_SUBCARRIERS) // 2
    return slice(start, start + BROADCAST_SUBCARRIERS)
