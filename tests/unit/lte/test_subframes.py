"""The pattern of subframes, against the tables of TS 36.211, 4.2."""

from typing import Any

import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.subframes import Role, subframe_pattern

UPLINK = [{2, 3, 4, 7, 8, 9}, {2, 3, 7, 8}, {2, 7}, {2, 3, 4}, {2, 3}, {2}, {2, 3, 4, 7, 8}]
"""Uplink subframes by TDD configuration (table 4.2-2)."""
SPECIAL = [{1, 6}, {1, 6}, {1, 6}, {1}, {1}, {1}, {1, 6}]
DOWNLINK_PART_TS = [6592, 19760, 21952, 24144, 26336, 6592, 19760, 21952, 24144]
"""Length of DwPTS by special subframe configuration, in units of 1/30.72 us (table 4.2-1)."""


def cell(**changes: Any) -> CellConfig:
    """Return a cell that differs from the usual one."""
    return CellConfig(7, **changes)


@pytest.mark.parametrize("configuration", range(7))
def test_a_tdd_cell_divides_its_frame_as_the_table_says(configuration: int) -> None:
    roles = subframe_pattern(cell(duplex="tdd", tdd_configuration=configuration)).roles
    for at, role in enumerate(roles):
        uplink, special = at % 10 in UPLINK[configuration], at % 10 in SPECIAL[configuration]
        assert role is (Role.UPLINK if uplink else Role.SPECIAL if special else Role.DOWNLINK)


@pytest.mark.parametrize("configuration", range(9))
def test_the_downlink_part_of_a_special_subframe_has_as_many_symbols_as_fit_its_length(configuration: int) -> None:
    symbols = subframe_pattern(cell(duplex="tdd", special_subframe=configuration)).symbols
    ends_ts = [2208 * (1 + symbol // 7) + 2192 * (symbol - symbol // 7) for symbol in range(14)]
    assert DOWNLINK_PART_TS[configuration] == ends_ts[symbols[1] - 1]
    assert symbols == (14, symbols[1], 0, 14, 14, 14, symbols[1], 0, 14, 14)


def test_a_special_subframe_of_three_symbols_serves_no_users() -> None:
    short, long = (subframe_pattern(cell(duplex="tdd", special_subframe=number)) for number in (5, 6))
    assert [at for at, serves in enumerate(short.serves_users()[:10]) if serves] == [0, 3, 4, 5, 8, 9]
    assert [at for at, serves in enumerate(long.serves_users()[:10]) if serves] == [0, 1, 3, 4, 5, 6, 8, 9]


def test_an_fdd_cell_is_downlink_all_the_time() -> None:
    pattern = subframe_pattern(cell())
    assert set(pattern.roles) == {Role.DOWNLINK}
    assert pattern.symbols == (14,) * 10


def test_multicast_subframes_return_in_every_frame_and_serve_no_users() -> None:
    pattern = subframe_pattern(cell(mbsfn_subframes=frozenset({1, 8})))
    multicast = [at for at, role in enumerate(pattern.roles) if role is Role.MULTICAST]
    assert multicast == [1, 8, 11, 18, 21, 28, 31, 38]
    assert [at for at, serves in enumerate(pattern.serves_users()) if not serves] == multicast


@pytest.mark.parametrize(("duplex", "subframes"), [("fdd", {1, 2, 3, 6, 7, 8}), ("tdd", {3, 4, 8, 9})])
def test_every_subframe_that_may_be_multicast_can_be(duplex: str, subframes: set[int]) -> None:
    for number in range(10):
        config = cell(duplex=duplex, tdd_configuration=2, mbsfn_subframes=frozenset({number}))
        if number in subframes:
            assert subframe_pattern(config).numbers[number] is Role.MULTICAST
        else:
            with pytest.raises(InvalidArgumentError, match=rf"\[{number}\] of this cell cannot be multicast"):
                subframe_pattern(config)


def test_almost_blank_subframes_are_where_the_bits_are_and_never_in_the_uplink() -> None:
    bits = "0110000000" + "0" * 29 + "1"
    roles = subframe_pattern(cell(duplex="tdd", almost_blank_subframes=bits)).roles
    assert [at for at, role in enumerate(roles) if role is Role.ALMOST_BLANK] == [1, 39]
    assert roles[2] is Role.UPLINK


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"duplex": "half"}, "no duplex: choose fdd or tdd"),
        ({"duplex": "tdd", "tdd_configuration": 7}, "choose 0 to 6"),
        ({"special_subframe": 9}, "choose 0 to 8"),
        ({"almost_blank_subframes": "01"}, "give 40 characters, each 0 or 1"),
        ({"almost_blank_subframes": "2" * 40}, "give 40 characters, each 0 or 1"),
    ],
)
def test_an_impossible_pattern_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        subframe_pattern(cell(**changes))
