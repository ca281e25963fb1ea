"""The sequences of an uplink: reference signals, and the preambles of random access.

Source: 3GPP TS 36.211, 5.5.1 and 5.7.2.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.numerology import BLOCK_SUBCARRIERS
from bandwatch.lte.sequences import gold_sequence, qpsk

PREAMBLE_LENGTH: Final = 839
"""Subcarriers of a preamble of format 0 (table 5.7.2-1)."""
PREAMBLE_FIRST: Final = 13
"""Preamble subcarriers that stay free before the first: 7, and half of a data subcarrier (5.7.3)."""
PREAMBLE_RATIO: Final = 12
"""Preamble subcarriers in a data subcarrier: they are 1.25 kHz apart (table 5.7.3-1)."""
PREAMBLE_SECONDS: Final = (3168 + 24576) / 30.72e6
"""Length of a preamble with its prefix (table 5.7.1-1)."""

_GROUPS: Final = 30
_SHORTEST_COMPUTED: Final = 3 * BLOCK_SUBCARRIERS


def reference_sequence(cell_identity: int, length: int) -> NDArray[np.complex64]:
    """Return the base sequence of a cell without hopping, complex64 [length], each element of unit power.

    From 36 elements on it is a Zadoff-Chu sequence that goes on from its beginning (5.5.1.1). The tables of shorter
    ones (5.5.1.2) are QPSK symbols as these are, chosen so that they correlate little with one another; here chance
    chooses.
    """
    group = cell_identity % _GROUPS
    if length < _SHORTEST_COMPUTED:
        return qpsk(gold_sequence(group * 2**8 + length, 2 * length))
    prime = _largest_prime_below(length)
    root = int(prime * (group + 1) / 31 + 0.5)
    return zadoff_chu(root, prime)[np.arange(length) % prime]


def cyclic_shifts(shifts: NDArray[np.int64], length: int) -> NDArray[np.complex64]:
    """Return what turns a sequence into its cyclic shifts 0 to 11, complex64 [n, length] (5.5.1, 5.5.2.1.1)."""
    turns = np.outer(shifts, np.arange(length)) % BLOCK_SUBCARRIERS / BLOCK_SUBCARRIERS
    factors: NDArray[np.complex64] = np.exp(2j * np.pi * turns).astype(np.complex64)
    return factors


def zadoff_chu(root: int, length: int) -> NDArray[np.complex64]:
    """Return the Zadoff-Chu sequence complex64 [length] of odd length (5.5.1.1, 5.7.2)."""
    n = np.arange(length)
    turns = root * (n * (n + 1) // 2) % length / length
    sequence: NDArray[np.complex64] = np.exp(-2j * np.pi * turns).astype(np.complex64)
    return sequence


def preamble_spectrum(cell_identity: int, shift: int) -> NDArray[np.complex64]:
    """Return a preamble's subcarriers complex64 [839], each of unit power (5.7.2, 5.7.3).

    Every cell has one root here, which follows from its identity; the shift, 0 to 838, tells its preambles apart.
    """
    sequence = np.roll(zadoff_chu(cell_identity + 1, PREAMBLE_LENGTH), -shift)
    spectrum: NDArray[np.complex64] = np.fft.fft(sequence, norm="ortho").astype(np.complex64)
    return spectrum


def preamble_blocks() -> NDArray[np.int64]:
    """Return which of its 6 resource blocks each subcarrier of a preamble is in, int64 [839]."""
    return (PREAMBLE_FIRST + np.arange(PREAMBLE_LENGTH)) // (BLOCK_SUBCARRIERS * PREAMBLE_RATIO)


def _largest_prime_below(length: int) -> int:
    """Return the largest prime below a length (5.5.1.1)."""
    return next(n for n in range(length - 1, 1, -1) if all(n % factor for factor in range(2, int(n**0.5) + 1)))
