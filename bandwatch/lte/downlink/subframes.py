"""What each subframe of a cell is for, and how much of it is downlink.

Source: 3GPP TS 36.211, 4.1 and 4.2; TS 36.331, MBSFN-SubframeConfig; TS 36.423, ABS Information.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.numerology import FRAME_SUBFRAMES, SUBFRAME_SYMBOLS, UPLINK_DOWNLINK

PATTERN_SUBFRAMES: Final = 40
"""Subframes after which a cell's pattern repeats: those of the bits that tell almost blank ones (TS 36.423)."""

SHORTEST_WITH_DATA: Final = 9
"""Least OFDM symbols of a downlink part that carries data; special subframes of 3 carry none (TS 36.213, 7.1.7)."""

_DOWNLINK_PART: Final = (3, 9, 10, 11, 12, 3, 9, 10, 11)  # OFDM symbols
_MBSFN_CHOICES: Final = {"fdd": frozenset({1, 2, 3, 6, 7, 8}), "tdd": frozenset({3, 4, 7, 8, 9})}


class Role(Enum):
    """What a subframe is for."""

    DOWNLINK = auto()
    SPECIAL = auto()
    UPLINK = auto()
    MULTICAST = auto()
    ALMOST_BLANK = auto()


@dataclass(frozen=True)
class SubframePattern:
    """The pattern of a cell's subframes.

    Attributes:
        numbers: The role of each subframe of a frame, 10 of them, as if none were almost blank.
        roles: The role of each subframe of the pattern, 40 of them.
        symbols: OFDM symbols of the downlink in each subframe of a frame: 14, fewer in special ones, 0 in uplink.
    """

    numbers: tuple[Role, ...]
    roles: tuple[Role, ...]
    symbols: tuple[int, ...]

    def carries_data(self, number: int) -> bool:
        """Tell whether that subframe of a frame has room for data."""
        return self.symbols[number] >= SHORTEST_WITH_DATA

    def serves_users(self) -> tuple[bool, ...]:
        """Tell for each subframe of the pattern whether users' data may go there."""
        roles = (Role.DOWNLINK, Role.SPECIAL)
        return tuple(role in roles and self.carries_data(at % FRAME_SUBFRAMES) for at, role in enumerate(self.roles))


def subframe_pattern(config: CellConfig) -> SubframePattern:
    """Return the pattern of a cell's subframes.

    Raises:
        InvalidArgumentError: The duplex or one of its configurations is unknown, or a subframe cannot be what it is
            said to be.
    """
    letters = _letters(config)
    if config.special_subframe not in range(len(_DOWNLINK_PART)):
        raise InvalidArgumentError(
            f"special subframe configuration {config.special_subframe} is not simulated: choose 0 to 8"
        )
    lengths = {"D": SUBFRAME_SYMBOLS, "S": _DOWNLINK_PART[config.special_subframe], "U": 0}
    numbers = _roles_of_numbers(config, letters)
    return SubframePattern(numbers, _with_almost_blank(config, numbers), tuple(lengths[letter] for letter in letters))


def _letters(config: CellConfig) -> str:
    """Return D, S or U for each subframe of a frame (table 4.2-2)."""
    if config.duplex == "fdd":
        return "D" * FRAME_SUBFRAMES
    if config.duplex != "tdd":
        raise InvalidArgumentError(f"{config.duplex!r} is no duplex: choose fdd or tdd")
    if config.tdd_configuration not in range(len(UPLINK_DOWNLINK)):
        raise InvalidArgumentError(f"there is no TDD configuration {config.tdd_configuration}: choose 0 to 6")
    return UPLINK_DOWNLINK[config.tdd_configuration]


def _roles_of_numbers(config: CellConfig, letters: str) -> tuple[Role, ...]:
    """Return the role of each subframe number."""
    choices = {number for number in _MBSFN_CHOICES[config.duplex] if letters[number] == "D"}
    if not config.mbsfn_subframes <= choices:
        raise InvalidArgumentError(
            f"subframes {sorted(config.mbsfn_subframes - choices)} of this cell cannot be multicast subframes: "
            f"choose from {sorted(choices)}"
        )
    plain = {"D": Role.DOWNLINK, "S": Role.SPECIAL, "U": Role.UPLINK}
    return tuple(
        Role.MULTICAST if number in config.mbsfn_subframes else plain[letter] for number, letter in enumerate(letters)
    )


def _with_almost_blank(config: CellConfig, numbers: tuple[Role, ...]) -> tuple[Role, ...]:
    """Return the roles of 40 subframes, with the almost blank ones put in where the downlink is."""
    bits = config.almost_blank_subframes or "0" * PATTERN_SUBFRAMES
    if len(bits) != PATTERN_SUBFRAMES or set(bits) - {"0", "1"}:
        raise InvalidArgumentError(
            f"{bits!r} tells no almost blank subframes: give {PATTERN_SUBFRAMES} characters, each 0 or 1"
        )
    roles = numbers * (PATTERN_SUBFRAMES // FRAME_SUBFRAMES)
    return tuple(
        Role.ALMOST_BLANK if bit == "1" and role is not Role.UPLINK else role
        for bit, role in zip(bits, roles, strict=True)
    )
