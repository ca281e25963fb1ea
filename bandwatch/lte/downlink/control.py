"""The control region at the start of each subframe: how many OFDM symbols it takes, and what of it is filled.

Source: 3GPP TS 36.211, 6.2.4, 6.7, 6.8 and 6.9. The format indicator and the acknowledgements of the uplink stand where
the standard puts them. Grants fill as many element groups as they would, at places drawn anew in each subframe in the
place of the interleaver of 6.8.5.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.subframes import Role, SubframePattern
from bandwatch.lte.numerology import BLOCK_SUBCARRIERS, FRAME_SUBFRAMES

LARGEST_SYMBOLS: Final = 4
"""The longest control region in OFDM symbols, reached only by cells of up to 10 resource blocks (table 6.7-1)."""
SIZES: Final = 3
"""Lengths that the control region can have: 1, 2 or 3 symbols, and one more in cells of up to 10 resource blocks."""

_NARROW_BLOCKS: Final = 10
_GROUPS_PER_BLOCK: Final = (2, 3, 3, 3)
_INDICATOR_GROUPS: Final = 4
_GROUPS_PER_GRANT: Final = 18  # two control channel elements of nine groups each (6.8.1)
_BLOCKS_PER_ACKNOWLEDGEMENT: Final = 8  # resource blocks for each group of acknowledgements, N_g being 1 (6.9)
_GROUPS_PER_ACKNOWLEDGEMENT: Final = 3  # element groups over which such a group is spread (6.9.3)
_SHORTENED_SUBFRAMES: Final = (1, 6)  # of TDD (table 6.7-1)
_ACKNOWLEDGEMENTS: Final = (  # m_i by TDD configuration and subframe number (table 6.9-1)
    (2, 1, 0, 0, 0, 2, 1, 0, 0, 0),
    (0, 1, 0, 0, 1, 0, 1, 0, 0, 1),
    (0, 0, 0, 1, 0, 0, 0, 0, 1, 0),
    (1, 0, 0, 0, 0, 0, 0, 0, 1, 1),
    (0, 0, 0, 0, 0, 0, 0, 0, 1, 1),
    (0, 0, 0, 0, 0, 0, 0, 0, 1, 0),
    (1, 1, 0, 0, 0, 1, 1, 0, 0, 1),
)


class ControlRegion:
    """The element groups of one cell's control region.

    Attributes:
        symbols: int64 [3], OFDM symbols that the region takes at each of its sizes.
        indicator: bool [subcarriers], elements of the first symbol for the format indicator, and for references
            among them.
    """

    def __init__(self, config: CellConfig, pattern: SubframePattern) -> None:
        resource_blocks = config.resource_blocks
        extra = int(resource_blocks <= _NARROW_BLOCKS)
        self.symbols = np.arange(SIZES) + 1 + extra
        self._group_of = _groups_of_elements(resource_blocks)
        groups = int(self._group_of.max()) + 1
        indicator = _indicator_groups(config.cell_identity, resource_blocks)
        self.indicator = np.isin(self._group_of[0], indicator)
        acknowledgements = [_acknowledgement_groups(config, indicator, number) for number in range(FRAME_SUBFRAMES)]
        self._draw_of = np.stack([_shared_draws(groups, places) for places in acknowledgements])
        taken = np.array([places.size for places in acknowledgements]) + _INDICATOR_GROUPS
        counts = np.cumsum(np.array(_GROUPS_PER_BLOCK) * resource_blocks)[extra : extra + SIZES]
        self._capacity = counts - taken[:, np.newaxis]
        self._largest_size = _largest_sizes(config, pattern, extra)

    def sizes_for(
        self, grants: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the size of the region, int64 [n], and the share of its groups that are filled, float32 [n].

        The region is no larger than the grants need. What does not fit into the largest is left out.

        Args:
            grants: int64 [n], downlink and uplink grants in each subframe.
            numbers: int64 [n], the number of each subframe in its frame.
        """
        needed = grants * _GROUPS_PER_GRANT
        capacity = self._capacity[numbers]
        size = np.minimum((needed[:, np.newaxis] > capacity).sum(axis=1), self._largest_size[numbers])
        share = needed / np.take_along_axis(capacity, size[:, np.newaxis], axis=1)[:, 0]
        return size, np.minimum(share, 1).astype(np.float32)

    def fill(
        self, share: NDArray[np.float32], numbers: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Draw which elements of a region of four symbols are filled, bool [n, 4, subcarriers].

        The three element groups of a group of acknowledgements are filled together or not at all.

        Args:
            share: float32 [n], share of the groups to fill in each subframe.
            numbers: int64 [n], the number of each subframe in its frame.
            rng: Where the places come from.
        """
        drawn = rng.random((len(share), self._draw_of.shape[1]), np.float32) < share[:, np.newaxis]
        filled = np.take_along_axis(drawn, self._draw_of[numbers], axis=1)
        elements: NDArray[np.bool_] = filled[:, self._group_of]
        return elements


def _groups_of_elements(resource_blocks: int) -> NDArray[np.int64]:
    """Return the element group of each element of four symbols, int64 [4, subcarriers] (6.2.4)."""
    counts = np.array(_GROUPS_PER_BLOCK) * resource_blocks
    column = np.arange(resource_blocks * BLOCK_SUBCARRIERS)
    width = BLOCK_SUBCARRIERS // np.array(_GROUPS_PER_BLOCK)
    groups: NDArray[np.int64] = (np.cumsum(counts) - counts)[:, np.newaxis] + column // width[:, np.newaxis]
    return groups


def _indicator_groups(cell_identity: int, resource_blocks: int) -> NDArray[np.int64]:
    """Return the element groups of the format indicator, int64 [4] (6.7.4)."""
    step = np.arange(_INDICATOR_GROUPS) * resource_blocks // 2
    groups: NDArray[np.int64] = (cell_identity + step) % (2 * resource_blocks)
    return groups


def _acknowledgement_groups(config: CellConfig, indicator: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return the element groups of the uplink's acknowledgements in one subframe, int64 [m, 3] (6.9, 6.9.3).

    They are all in the first symbol, which is the normal duration.
    """
    others = np.setdiff1d(np.arange(2 * config.resource_blocks), indicator)
    factor = 1 if config.duplex == "fdd" else _ACKNOWLEDGEMENTS[config.tdd_configuration][number]
    unit = np.arange(factor * -(-config.resource_blocks // _BLOCKS_PER_ACKNOWLEDGEMENT))
    spread = np.arange(_GROUPS_PER_ACKNOWLEDGEMENT) * len(others) // _GROUPS_PER_ACKNOWLEDGEMENT
    groups: NDArray[np.int64] = others[(config.cell_identity + unit[:, np.newaxis] + spread) % len(others)]
    return groups


def _shared_draws(groups: int, together: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which draw decides over each element group, int64 [groups]: each row of groups shares one."""
    draws = np.arange(groups)
    draws[together] = together[:, :1]
    return draws


def _largest_sizes(config: CellConfig, pattern: SubframePattern, extra: int) -> NDArray[np.int64]:
    """Return the index of the longest region in each subframe of a frame, int64 [10] (table 6.7-1)."""
    shortened = [
        role is Role.MULTICAST or (config.duplex == "tdd" and number in _SHORTENED_SUBFRAMES)
        for number, role in enumerate(pattern.numbers)
    ]
    return np.where(shortened, 1 - extra, SIZES - 1)
