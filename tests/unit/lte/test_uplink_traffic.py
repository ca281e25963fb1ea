"""Grants that never collide, and a load that is what was asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.lte.uplink.traffic import Grants, UplinkTraffic, transform_widths


def traffic(load: float, blocks: int = 23, users: int = 30) -> UplinkTraffic:
    """Return traffic on so many blocks."""
    return UplinkTraffic(blocks, users, load, np.random.default_rng(5))


def uses(grants: Grants, count: int, blocks: int = 23) -> NDArray[np.int64]:
    """Count the grants of each block in each subframe, int64 [count, blocks]."""
    used = np.zeros((count, blocks), np.int64)
    for subframe, first, width in zip(grants.subframe, grants.first, grants.width, strict=True):
        used[subframe, first : first + width] += 1
    return used


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    load=st.floats(0, 1),
    blocks=st.sampled_from([4, 13, 23, 46]),
    users=st.sampled_from([1, 5, 40]),
)
def test_no_two_users_share_a_block_and_no_user_sends_in_two_places(
    counts: list[int], load: float, blocks: int, users: int
) -> None:
    source = traffic(load, blocks, users)
    for count in counts:
        grants = source.next_subframes(count)
        assert uses(grants, count, blocks).sum() == grants.width.sum()
        assert uses(grants, count, blocks).max(initial=0) <= 1
        sent = np.stack([grants.subframe, grants.user])
        assert len(np.unique(sent, axis=1).T) == len(grants.user)
        assert set(grants.width.tolist()) <= set(transform_widths(blocks).tolist())


@pytest.mark.parametrize("load", [0.1, 0.3, 0.5])
def test_users_get_about_what_they_ask_for_as_long_as_there_is_room(load: float) -> None:
    grants = traffic(load).next_subframes(200_000)
    assert grants.width.sum() / (200_000 * 23) == pytest.approx(load, rel=0.25)


def test_more_load_occupies_more_and_a_full_cell_still_has_gaps() -> None:
    shares = [traffic(load).next_subframes(50_000).width.sum() / (50_000 * 23) for load in (0.0, 0.2, 0.6, 1.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert 0.6 < shares[3] < 0.9


def test_a_change_of_load_is_felt_when_the_sessions_that_began_are_over() -> None:
    source = traffic(0.6)
    before = source.next_subframes(5000).width.sum()
    source.load = 0.0
    source.next_subframes(20_000)
    assert before > 0
    assert not source.next_subframes(5000).width.sum()


def test_a_burst_that_the_end_of_a_call_cuts_goes_on_in_the_next() -> None:
    source = traffic(0.5)
    cut = 0
    for _ in range(50):
        before, after = source.next_subframes(10), source.next_subframes(10)
        last = {(u, f, w) for s, u, f, w in zip(*vars_of(before), strict=True) if s == 9}
        first = {(u, f, w) for s, u, f, w in zip(*vars_of(after), strict=True) if s == 0}
        cut += len(last & first)
    assert cut > 50


def vars_of(grants: Grants) -> tuple[list[int], ...]:
    """Return the columns of grants."""
    return tuple(column.tolist() for column in (grants.subframe, grants.user, grants.first, grants.width))


def test_bursts_last_from_1_to_20_subframes() -> None:
    source = traffic(0.05, users=1000)
    used = uses(source.next_subframes(20_000), 20_000) > 0
    edges = np.diff(used[:, 11].astype(int))
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)[: (edges == -1).sum()]
    assert lengths.min() == 1
    assert 10 < np.percentile(lengths, 95) <= 20


def test_the_widths_are_products_of_2_3_and_5() -> None:
    assert transform_widths(25).tolist() == [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 15, 16, 18, 20, 24, 25]
