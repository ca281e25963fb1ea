"""The schedule: its load, its rhythm, and how long it stays as it is."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.subframes import subframe_pattern
from bandwatch.lte.downlink.traffic import Schedule, Traffic


def traffic(load: float, resource_blocks: int = 25, seed: int = 5, **changes: Any) -> Traffic:
    """Return the traffic of a cell."""
    pattern = subframe_pattern(CellConfig(7, resource_blocks, load, **changes))
    return Traffic(resource_blocks, load, pattern, np.random.default_rng(seed))


def schedule(load: float, seconds: int = 60, resource_blocks: int = 25, **changes: Any) -> Schedule:
    """Return a schedule of that duration."""
    return traffic(load, resource_blocks, **changes).next_subframes(seconds * 1000)


def changed_share(blocks: NDArray[np.float32], lag: int) -> float:
    """Return in how many of its subframes a resource block is not as it will be after a while."""
    return float((blocks[:-lag] != blocks[lag:]).mean())


@pytest.mark.parametrize("resource_blocks", [6, 15, 25, 50])
@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_the_share_in_use_follows_the_load(resource_blocks: int, load: float) -> None:
    assert schedule(load, resource_blocks=resource_blocks).blocks.mean() == pytest.approx(load, abs=0.15)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_the_load_of_a_tdd_cell_is_that_of_the_subframes_that_users_may_have(load: float) -> None:
    blocks = schedule(load, duplex="tdd", tdd_configuration=1).blocks.reshape(-1, 10, 25)
    assert not blocks[:, [2, 3, 7, 8]].any()
    assert blocks[:, [0, 1, 4, 5, 6, 9]].mean() == pytest.approx(load, abs=0.15)


def test_full_load_leaves_hardly_a_block_idle() -> None:
    assert schedule(1.0).blocks.mean() > 0.9


def test_a_full_cell_serves_several_users_in_most_subframes() -> None:
    grants = schedule(1.0).grants - 3  # the mean number of uplink grants
    assert np.median(grants) >= 4


def test_an_idle_cell_sends_system_information_and_nothing_else() -> None:
    idle = schedule(0.0, seconds=8)
    expected = [at for at in range(8000) if at % 20 == 5 or at % 80 == 0 or at % 160 == 10]
    assert np.flatnonzero(idle.blocks.any(axis=1)).tolist() == expected
    assert len({row.tobytes() for row in idle.blocks[expected]}) == 1
    assert np.flatnonzero(idle.grants).tolist() == expected


@pytest.mark.parametrize(("duplex", "subframe"), [("fdd", 9), ("tdd", 0)])
def test_pages_come_in_the_subframe_that_idle_users_listen_to(duplex: str, subframe: int) -> None:
    idle, paging = (schedule(load, 4, duplex=duplex, almost_blank_subframes="1" * 40) for load in (0.0, 1.0))
    pages = paging.blocks.any(axis=1) & ~idle.blocks.any(axis=1)
    assert {at % 10 for at in np.flatnonzero(pages)} == {subframe}
    assert 60 < pages.sum() < 180


def test_calls_return_after_20_ms_to_the_same_blocks() -> None:
    blocks = schedule(0.1).blocks.astype(np.bool_)
    alone = blocks & ~np.roll(blocks, 1, axis=0) & ~np.roll(blocks, -1, axis=0)
    here = alone[100:-100]
    after_20_ms = (here & alone[120:-80]).sum() / here.sum()
    after_17_ms = (here & alone[117:-83]).sum() / here.sum()
    assert after_20_ms > 5 * after_17_ms


def test_most_of_the_band_stays_as_it_is_for_the_time_of_a_prediction() -> None:
    blocks = schedule(0.5).blocks
    assert changed_share(blocks, 6) < 0.1
    assert changed_share(blocks, 1000) > 0.3


def test_users_come_and_go_one_by_one() -> None:
    used = schedule(0.7).blocks.sum(axis=1)
    steps = np.abs(np.diff(used))
    assert (steps > 0).mean() < 0.3
    assert (steps > 12).mean() < 0.01


def test_a_multicast_subframe_is_full_or_empty_as_often_as_the_load_says() -> None:
    blocks = schedule(0.3, mbsfn_subframes=frozenset({2})).blocks.reshape(-1, 10, 25)[:, 2]
    shares = blocks.mean(axis=1)
    assert set(shares.tolist()) == {0.0, 1.0}
    assert shares.mean() == pytest.approx(0.3, abs=0.03)


def test_users_keep_off_almost_blank_subframes() -> None:
    full = schedule(1.0, seconds=20, almost_blank_subframes="0000100000" * 4)
    assert not full.blocks.reshape(-1, 10, 25)[:, 4].any()
    assert not full.grants.reshape(-1, 10)[:, 4].any()


@pytest.mark.parametrize("load", [0.0, 0.6])
def test_a_schedule_does_not_depend_on_how_it_is_asked_for(load: float) -> None:
    first, second = traffic(load), traffic(load)
    pieces = [second.next_subframes(count) for count in (7, 33, 50)]
    whole = first.next_subframes(90)
    np.testing.assert_array_equal(whole.blocks, np.concatenate([piece.blocks for piece in pieces]))
    np.testing.assert_array_equal(whole.grants, np.concatenate([piece.grants for piece in pieces]))


@pytest.mark.parametrize("load", [-0.1, 1.1, float("nan")])
def test_an_impossible_load_is_refused(load: float) -> None:
    with pytest.raises(InvalidArgumentError, match="share from 0 to 1"):
        traffic(load)
    running = traffic(0.5)
    with pytest.raises(InvalidArgumentError, match="share from 0 to 1"):
        running.set_load(load)
