"""The sequences that a cell identity fixes: synchronisation signals, reference signals and scrambling.

Source: 3GPP TS 36.211, 6.6.1, 6.10.1, 6.11 and 7.2.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

CELL_IDENTITIES: Final = 504
"""Physical-layer cell identities (6.11)."""
LARGEST_RESOURCE_BLOCKS: Final = 110
"""The widest downlink that reference signals are numbered for (6.2.1, 6.10.1.1)."""

_GOLD_OFFSET: Final = 1600
_GOLD_STAGES: Final = 31
_SYNC_LENGTH: Final = 62
_PRIMARY_ROOTS: Final = (25, 29, 34)


def split_cell_identity(cell_identity: int) -> tuple[int, int]:
    """Return the group 0..167 and the identity 0..2 within the group (6.11).

    Raises:
        InvalidArgumentError: The identity is outside 0..503.
    """
    if not 0 <= cell_identity < CELL_IDENTITIES:
        raise InvalidArgumentError(f"cell identity {cell_identity} is outside 0 to {CELL_IDENTITIES - 1}")
    return divmod(cell_identity, 3)


def gold_sequence(initial: int, length: int) -> NDArray[np.uint8]:
    """Return the pseudo-random bits c(0), c(1), ... uint8 [length] for one initial value (7.2)."""
    first = np.zeros(_GOLD_STAGES, np.uint8)
    first[0] = 1
    second = np.array([initial >> stage & 1 for stage in range(_GOLD_STAGES)], np.uint8)
    bits = _shift_register(first, (3, 0), _GOLD_OFFSET + length) ^ _shift_register(
        second, (3, 2, 1, 0), _GOLD_OFFSET + length
    )
    return bits[_GOLD_OFFSET:]


def _shift_register(start: NDArray[np.uint8], taps: tuple[int, ...], length: int) -> NDArray[np.uint8]:
    """Run x(n + stages) = XOR of x(n + tap) to [length], as many bits at a time as the largest tap leaves known."""
    stages = len(start)
    stride = stages - max(taps)
    bits = np.zeros(length + stages + stride, np.uint8)
    bits[:stages] = start
    for at in range(0, length, stride):
        bits[at + stages : at + stages + stride] = np.bitwise_xor.reduce(
            [bits[at + tap : at + tap + stride] for tap in taps]
        )
    return bits[:length]


def qpsk(bits: NDArray[np.uint8]) -> NDArray[np.complex64]:
    """Map pairs of bits uint8 [..., 2n] to symbols of unit power complex64 [..., n] (7.1.2)."""
    signs = (1 - 2 * bits.astype(np.float32)) / np.sqrt(np.float32(2))
    symbols = np.empty((*bits.shape[:-1], bits.shape[-1] // 2), np.complex64)
    symbols.real, symbols.imag = signs[..., 0::2], signs[..., 1::2]
    return symbols


def primary_synchronisation(identity_in_group: int) -> NDArray[np.complex64]:
    """Return d(n) complex64 [62], a Zadoff-Chu sequence without its middle element (6.11.1.1)."""
    n = np.arange(_SYNC_LENGTH)
    n = n + (n > 30)  # noqa: PLR2004 - element 31 would fall on the unused centre subcarrier
    root = _PRIMARY_ROOTS[identity_in_group]
    sequence: NDArray[np.complex64] = np.exp(-1j * np.pi * root * n * (n + 1) / 63).astype(np.complex64)
    return sequence


def secondary_synchronisation(group: int, identity_in_group: int, subframe: int) -> NDArray[np.float32]:
    """Return d(n) float32 [62] of subframe 0 or 5 (6.11.2.1)."""
    m0, m1 = _group_shifts(group)
    near, far = (m0, m1) if subframe == 0 else (m1, m0)
    s, c, z = _m_sequence((2, 0)), _m_sequence((3, 0)), _m_sequence((4, 2, 1, 0))
    sequence = np.empty(_SYNC_LENGTH, np.float32)
    sequence[0::2] = np.roll(s, -near) * np.roll(c, -identity_in_group)
    sequence[1::2] = np.roll(s, -far) * np.roll(c, -identity_in_group - 3) * np.roll(z, -(near % 8))
    return sequence


def _group_shifts(group: int) -> tuple[int, int]:
    """Return m0 and m1, which together tell the group (6.11.2.1)."""
    q = (group + group // 30 * (group // 30 + 1) // 2) // 30
    m = group + q * (q + 1) // 2
    m0 = m % 31
    return m0, (m0 + m // 31 + 1) % 31


def _m_sequence(taps: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the signs float32 [31] of a shift register of five stages that starts at 0, 0, 0, 0, 1."""
    bits = _shift_register(np.array([0, 0, 0, 0, 1], np.uint8), taps, 31)
    return 1.0 - 2.0 * bits.astype(np.float32)


def reference_signal(cell_identity: int, slot: int, symbol: int, resource_blocks: int) -> NDArray[np.complex64]:
    """Return the cell-specific reference symbols complex64 [2 x resource_blocks] of one OFDM symbol (6.10.1.1).

    The sequence is numbered from the middle of the widest possible downlink, so narrow cells use its middle.
    """
    normal_prefix = 1
    initial = (7 * (slot + 1) + symbol + 1) * (2 * cell_identity + 1) * 2**10 + 2 * cell_identity + normal_prefix
    symbols = qpsk(gold_sequence(initial, 4 * LARGEST_RESOURCE_BLOCKS))
    first = LARGEST_RESOURCE_BLOCKS - resource_blocks
    return symbols[first : first + 2 * resource_blocks]
