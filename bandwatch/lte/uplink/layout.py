"""Where the channels of an uplink are: which subframes, which resource blocks, which OFDM symbols.

Source: 3GPP TS 36.211, 4.2 and 5; normal cyclic prefix.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.numerology import FRAME_SUBFRAMES, UPLINK_DOWNLINK

PATTERN_SUBFRAMES: Final = 2 * FRAME_SUBFRAMES
"""Subframes after which the places repeat."""
REFERENCE_SYMBOL: Final = 3
"""SC-FDMA symbol of a slot that carries the reference signal of the shared channel (5.5.2.1.2)."""
RANDOM_ACCESS_BLOCKS: Final = 6
"""Resource blocks that a random access preamble takes (5.7.1)."""
SOUNDING_PERIODS: Final = (1, 2, 5, 10)
"""Subframes from one chance to sound to the next (table 5.5.3.3-1)."""
RANDOM_ACCESS_PERIODS: Final = (5, 10, 20)
"""Subframes from one chance of random access to the next (table 5.7.1-2, configurations 6, 3 and 0)."""

_SOUNDING_WIDTHS: Final = ((40, (36, 32, 24, 20, 16, 12, 8, 4)), (60, (48, 40, 36, 32, 24, 20, 16)))
_FIRST_UPLINK_IN_TDD: Final = 2  # where chances begin (tables 5.5.3.3-2 and 5.7.1-4)


@dataclass(frozen=True)
class UplinkLayout:
    """Where the channels of one cell's uplink are.

    Attributes:
        uplink: bool [20], the subframes of two frames that are uplink.
        sounding: bool [20], those of them whose last symbol is kept for sounding.
        random_access: bool [20], those in which preambles may be sent.
        edge: Resource blocks at either edge of the band that belong to the control channel.
        sounding_first: First resource block that is sounded.
        sounding_width: Resource blocks that are sounded.
        random_access_first: First resource block of the preambles.
    """

    uplink: NDArray[np.bool_]
    sounding: NDArray[np.bool_]
    random_access: NDArray[np.bool_]
    edge: int
    sounding_first: int
    sounding_width: int
    random_access_first: int


def lay_out_uplink(
    resource_blocks: int, control_blocks: int, sounding_period: int, random_access_period: int, tdd: int | None
) -> UplinkLayout:
    """Return where the channels of an uplink are.

    Args:
        resource_blocks: Width of the cell.
        control_blocks: Resource blocks of each slot that belong to the control channel.
        sounding_period: Subframes from one chance to sound to the next.
        random_access_period: Subframes from one chance of random access to the next.
        tdd: Uplink-downlink configuration of a TDD cell, 0 to 6; None for FDD.

    Raises:
        InvalidArgumentError: A period is not one of those above, there is no such configuration, or the control
            channel leaves too little room.
    """
    if sounding_period not in SOUNDING_PERIODS or random_access_period not in RANDOM_ACCESS_PERIODS:
        raise InvalidArgumentError(
            f"periods of {sounding_period} and {random_access_period} subframes are not simulated: choose from "
            f"{SOUNDING_PERIODS} for sounding and {RANDOM_ACCESS_PERIODS} for random access"
        )
    edge = -(-control_blocks // 2)
    width = _sounding_width(resource_blocks, resource_blocks - 2 * edge)
    uplink = _uplink_subframes(tdd)
    sounding_start, access_start = (0, 1) if tdd is None else (_FIRST_UPLINK_IN_TDD, _FIRST_UPLINK_IN_TDD)
    number = np.arange(PATTERN_SUBFRAMES)
    return UplinkLayout(
        uplink,
        uplink & ((number - sounding_start) % sounding_period == 0),
        uplink & ((number - access_start) % random_access_period == 0),
        edge,
        resource_blocks // 2 - width // 2,
        width,
        min(edge, resource_blocks - RANDOM_ACCESS_BLOCKS),
    )


def _uplink_subframes(tdd: int | None) -> NDArray[np.bool_]:
    """Return which subframes of two frames are uplink, bool [20]: all in FDD, else those of table 4.2-2."""
    if tdd is None:
        return np.ones(PATTERN_SUBFRAMES, np.bool_)
    if tdd not in range(len(UPLINK_DOWNLINK)):
        raise InvalidArgumentError(f"there is no TDD configuration {tdd}: choose 0 to 6")
    return np.array([role == "U" for role in UPLINK_DOWNLINK[tdd]] * (PATTERN_SUBFRAMES // FRAME_SUBFRAMES))


def control_block(place: NDArray[np.int64], slot: int, resource_blocks: int) -> NDArray[np.int64]:
    """Return the resource block of a place m of the control channel in an even or odd slot (5.4.3)."""
    low = (place + slot) % 2 == 0
    return np.where(low, place // 2, resource_blocks - 1 - place // 2)


def _sounding_width(resource_blocks: int, room: int) -> int:
    """Return the widest sounding without hopping that fits between the control blocks (tables 5.5.3.2-1 and -2)."""
    widths = next(widths for most, widths in _SOUNDING_WIDTHS if resource_blocks <= most)
    fitting = [width for width in widths if width <= room]
    if not fitting:
        raise InvalidArgumentError("the control channel leaves no room for sounding: give it fewer resource blocks")
    return fitting[0]
