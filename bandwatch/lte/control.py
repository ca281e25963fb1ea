"""The control region at the start of each subframe: how many OFDM symbols it takes, and what of it is filled.

Source: 3GPP TS 36.211, 6.2.4, 6.7 and 6.8. The format indicator stands where the standard puts it. Grants fill as many
element groups as they would, at places drawn anew in each subframe in the place of the interleaver of 6.8.5.
Acknowledgements of the uplink (6.9) are left out.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.numerology import BLOCK_SUBCARRIERS

LARGEST_SYMBOLS: Final = 4
"""The longest control region in OFDM symbols, reached only by cells of up to 10 resource blocks (table 6.7-1)."""

_NARROW_BLOCKS: Final = 10
_GROUPS_PER_BLOCK: Final = (2, 3, 3, 3)
_INDICATOR_GROUPS: Final = 4
_GROUPS_PER_GRANT: Final = 18  # two control channel elements of nine groups each (6.8.1)


class ControlRegion:
    """The element groups of one cell's control region."""

    def __init__(self, cell_identity: int, resource_blocks: int) -> None:
        self._extra = int(resource_blocks <= _NARROW_BLOCKS)
        counts = np.array(_GROUPS_PER_BLOCK) * resource_blocks
        column = np.arange(resource_blocks * BLOCK_SUBCARRIERS)
        width = BLOCK_SUBCARRIERS // np.array(_GROUPS_PER_BLOCK)
        first_group = np.cumsum(counts) - counts
        self._group_of = first_group[:, np.newaxis] + column // width[:, np.newaxis]
        self._capacity = np.cumsum(counts)[self._extra : self._extra + 3] - _INDICATOR_GROUPS
        step = np.arange(_INDICATOR_GROUPS) * resource_blocks // 2
        self._indicator = (cell_identity + step) % (2 * resource_blocks)
        self._groups = int(counts.sum())

    def fill(self, grants: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the symbols that the region takes, int64 [n], and which elements it fills, bool [n, 4, subcarriers].

        Args:
            grants: int64 [n], downlink and uplink grants in each subframe.
            rng: Where the places of the grants come from.
        """
        needed = grants * _GROUPS_PER_GRANT
        size = np.minimum(np.searchsorted(self._capacity, needed), len(self._capacity) - 1)
        share = (needed / self._capacity[size]).astype(np.float32)
        filled = rng.random((len(grants), self._groups), np.float32) < share[:, np.newaxis]
        filled[:, self._indicator] = True
        symbols = size + 1 + self._extra
        inside = np.arange(LARGEST_SYMBOLS) < symbols[:, np.newaxis]
        return symbols, filled[:, self._group_of] & inside[:, :, np.newaxis]
