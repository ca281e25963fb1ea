"""Places on an uplink against the formulas and tables of TS 36.211."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.uplink.layout import control_block, lay_out_uplink

TABLE_4_2_2 = ("DSUUUDSUUU", "DSUUDDSUUD", "DSUDDDSUDD", "DSUUUDDDDD", "DSUUDDDDDD", "DSUDDDDDDD", "DSUUUDSUUD")


def test_the_control_channel_hops_between_the_edges_as_5_4_3_says() -> None:
    for slot in range(2):
        for m in range(8):
            at_low_edge = (m + slot % 2) % 2 == 0
            expected = m // 2 if at_low_edge else 25 - 1 - m // 2
            assert control_block(np.array([m]), slot, 25).tolist() == [expected]


@given(m=st.integers(0, 20), resource_blocks=st.sampled_from([25, 50]))
def test_the_two_slots_of_a_subframe_mirror_each_other(m: int, resource_blocks: int) -> None:
    first, second = (int(control_block(np.array([m]), slot, resource_blocks)[0]) for slot in range(2))
    assert first + second == resource_blocks - 1


@pytest.mark.parametrize("configuration", range(7))
def test_a_tdd_cell_has_the_uplink_subframes_of_table_4_2_2(configuration: int) -> None:
    layout = lay_out_uplink(25, 2, 5, 5, configuration)
    expected = [letter == "U" for letter in TABLE_4_2_2[configuration]] * 2
    assert layout.uplink.tolist() == expected
    for chances in (layout.sounding, layout.random_access):
        assert chances[2]
        assert not (chances & ~layout.uplink).any()


@pytest.mark.parametrize(("period", "subframes"), [(1, range(20)), (2, range(0, 20, 2)), (5, [0, 5, 10, 15])])
def test_sounding_comes_in_the_subframes_of_table_5_5_3_3_1(period: int, subframes: list[int]) -> None:
    assert np.flatnonzero(lay_out_uplink(25, 2, period, 10, None).sounding).tolist() == list(subframes)


@pytest.mark.parametrize(("period", "subframes"), [(5, [1, 6, 11, 16]), (10, [1, 11]), (20, [1])])
def test_random_access_comes_in_the_subframes_of_table_5_7_1_2(period: int, subframes: list[int]) -> None:
    assert np.flatnonzero(lay_out_uplink(25, 2, 5, period, None).random_access).tolist() == subframes


@pytest.mark.parametrize(
    ("resource_blocks", "control_blocks", "first", "width"),
    [(6, 2, 1, 4), (15, 2, 1, 12), (25, 1, 2, 20), (25, 2, 2, 20), (50, 4, 5, 40), (50, 2, 1, 48)],
)
def test_sounding_is_the_widest_of_the_tables_that_fits_between_the_control_blocks(
    resource_blocks: int, control_blocks: int, first: int, width: int
) -> None:
    layout = lay_out_uplink(resource_blocks, control_blocks, 5, 10, None)
    assert (layout.sounding_first, layout.sounding_width) == (first, width)
    assert layout.edge <= layout.sounding_first
    assert layout.sounding_first + layout.sounding_width <= resource_blocks - layout.edge


@pytest.mark.parametrize("resource_blocks", [6, 15, 25, 50])
def test_preambles_fit_into_the_band(resource_blocks: int) -> None:
    assert 0 <= lay_out_uplink(resource_blocks, 2, 5, 10, None).random_access_first <= resource_blocks - 6


@pytest.mark.parametrize(
    ("control_blocks", "sounding_period", "random_access_period", "tdd"),
    [(2, 3, 10, None), (2, 5, 7, None), (2, 5, 10, 7), (4, 5, 10, None)],
)
def test_a_layout_that_cannot_be_is_refused(
    control_blocks: int, sounding_period: int, random_access_period: int, tdd: int | None
) -> None:
    with pytest.raises(InvalidArgumentError):
        lay_out_uplink(6, control_blocks, sounding_period, random_access_period, tdd)
