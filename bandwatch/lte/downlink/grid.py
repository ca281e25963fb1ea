"""The resource elements of a radio frame that a cell fills alike in every frame.

Source: 3GPP TS 36.211, 6.6, 6.10.1 and 6.11; normal cyclic prefix, one or two antenna ports.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte import sequences
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.subframes import Role, SubframePattern
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, FRAME_SUBFRAMES, SLOT_SYMBOLS, SUBFRAME_SYMBOLS

BROADCAST_SUBCARRIERS: Final = 72
"""Subcarriers in the middle that the broadcast channel and the synchronisation signals take (6.6.4, 6.11)."""
BROADCAST_SUBFRAME: Final = 0
"""Subframe of each frame that carries the broadcast channel (6.6.4)."""
REFERENCE_SYMBOLS: Final = (0, 4, 7, 11)
"""OFDM symbols of a subframe that carry reference signals of antenna ports 0 and 1 (6.10.1.2)."""

_BROADCAST_SYMBOLS: Final = range(SLOT_SYMBOLS, SLOT_SYMBOLS + 4)
_SYNC_GUARD: Final = 5
_SYNC_HALVES: Final = (0, 5)
_LARGEST_PORTS: Final = 2


@dataclass(frozen=True)
class FrameLayout:
    """What every frame of a cell has in common.

    Attributes:
        reference: complex64 [ports, 10, 14, subcarriers], the reference signals of each port; 0 elsewhere.
        synchronisation: complex64 [10, 14, subcarriers], what port 0 sends of these signals; 0 elsewhere.
        free: bool [10, 14, subcarriers], where control and data may go.
        broadcast: int64 [240], flat positions of the broadcast channel in its subframe, in its order of mapping
            (6.6.4).
    """

    reference: NDArray[np.complex64]
    synchronisation: NDArray[np.complex64]
    free: NDArray[np.bool_]
    broadcast: NDArray[np.int64]


@lru_cache(maxsize=64)
def lay_out_frame(config: CellConfig, pattern: SubframePattern) -> FrameLayout:
    """Return the layout of a cell's frames, whose arrays are shared and read-only.

    Raises:
        InvalidArgumentError: The identity is outside 0..503, or there are neither one nor two ports.
    """
    if config.ports not in range(1, _LARGEST_PORTS + 1):
        raise InvalidArgumentError(f"{config.ports} antenna ports are not simulated: choose 1 or 2")
    shape = (FRAME_SUBFRAMES, SUBFRAME_SYMBOLS, config.resource_blocks * BLOCK_SUBCARRIERS)
    free = np.ones(shape, np.bool_)
    reference = np.zeros((config.ports, *shape), np.complex64)
    synchronisation = np.zeros(shape, np.complex64)
    _place_synchronisation(synchronisation, free, config)
    free[BROADCAST_SUBFRAME, _BROADCAST_SYMBOLS.start : _BROADCAST_SYMBOLS.stop, _middle(shape[2])] = False
    for number, (role, symbols) in enumerate(zip(pattern.numbers, pattern.symbols, strict=True)):
        _place_reference_signals(reference[:, number], free[number], config.cell_identity, number, role, symbols)
        free[number, symbols:] = False
    layout = FrameLayout(reference, synchronisation, free, _broadcast_positions(config.cell_identity, shape[2]))
    for array in (layout.reference, layout.synchronisation, layout.free, layout.broadcast):
        array.flags.writeable = False
    return layout


def _place_reference_signals(
    reference: NDArray[np.complex64],
    free: NDArray[np.bool_],
    cell_identity: int,
    number: int,
    role: Role,
    symbols: int,
) -> None:
    """Put in one subframe's reference signals, and keep control off the places of both ports (6.2.4, 6.10.1.2)."""
    resource_blocks = free.shape[1] // BLOCK_SUBCARRIERS
    last = 1 if role is Role.MULTICAST else symbols
    for symbol in (symbol for symbol in REFERENCE_SYMBOLS if symbol < last):
        slot, in_slot = divmod(symbol, SLOT_SYMBOLS)
        values = sequences.reference_signal(cell_identity, 2 * number + slot, in_slot, resource_blocks)
        for port in range(len(reference)):
            shift = 0 if (in_slot == 0) == (port == 0) else 3
            first = (cell_identity + shift) % 6
            reference[port, symbol, first::6] = values
            free[symbol, first::6] = False
    free[0, cell_identity % 3 :: 3] = False


def _place_synchronisation(synchronisation: NDArray[np.complex64], free: NDArray[np.bool_], config: CellConfig) -> None:
    """Put in both synchronisation signals, with five silent subcarriers on either side (6.11.1.2, 6.11.2.2)."""
    group, identity_in_group = sequences.split_cell_identity(config.cell_identity)
    middle = _middle(free.shape[2])
    inside = slice(middle.start + _SYNC_GUARD, middle.stop - _SYNC_GUARD)
    for half in _SYNC_HALVES:
        tdd = config.duplex == "tdd"
        primary = (half + 1, 2) if tdd else (half, SLOT_SYMBOLS - 1)
        secondary = (half, SUBFRAME_SYMBOLS - 1) if tdd else (half, SLOT_SYMBOLS - 2)
        synchronisation[(*primary, inside)] = sequences.primary_synchronisation(identity_in_group)
        synchronisation[(*secondary, inside)] = sequences.secondary_synchronisation(group, identity_in_group, half)
        free[(*primary, middle)] = free[(*secondary, middle)] = False


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
