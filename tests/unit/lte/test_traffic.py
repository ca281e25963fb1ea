"""The schedule: its load, its rhythm and its bursts."""

import numpy as np
import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.traffic import Schedule, Traffic


def schedule(load: float, seconds: int = 30, resource_blocks: int = 25, seed: int = 5) -> Schedule:
    """Return a schedule of that duration."""
    return Traffic(resource_blocks, load, np.random.default_rng(seed)).next_subframes(seconds * 1000)


@pytest.mark.parametrize("resource_blocks", [6, 15, 25, 50])
@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_the_share_in_use_follows_the_load(resource_blocks: int, load: float) -> None:
    assert schedule(load, resource_blocks=resource_blocks).blocks.mean() == pytest.approx(load, abs=0.12)


def test_full_load_leaves_hardly_a_block_idle() -> None:
    assert schedule(1.0).blocks.mean() > 0.9


def test_an_idle_cell_sends_system_information_every_20_ms_and_nothing_else() -> None:
    idle = schedule(0.0, seconds=1)
    assert np.flatnonzero(idle.blocks.any(axis=1)).tolist() == list(range(5, 1000, 20))
    assert len({row.tobytes() for row in idle.blocks[5::20]}) == 1
    assert idle.grants.sum() == 50


def test_calls_return_after_20_ms_to_the_same_blocks() -> None:
    blocks = schedule(0.1).blocks
    nights = blocks & ~np.roll(blocks, 1, axis=0) & ~np.roll(blocks, -1, axis=0)
    here = nights[100:-100]
    after_20_ms = (here & nights[120:-80]).sum() / here.sum()
    after_17_ms = (here & nights[117:-83]).sum() / here.sum()
    assert after_20_ms > 5 * after_17_ms


def test_users_come_in_bursts_that_outlast_a_subframe() -> None:
    blocks = schedule(0.5).blocks.astype(float)
    centred = blocks - blocks.mean(axis=0)
    correlation = (centred[:-10] * centred[10:]).sum() / (centred**2).sum()
    assert correlation > 0.3


def test_a_schedule_does_not_depend_on_how_it_is_asked_for() -> None:
    first, second = (Traffic(25, 0.0, np.random.default_rng(1)) for _ in range(2))
    pieces = [second.next_subframes(count).blocks for count in (7, 33)]
    np.testing.assert_array_equal(first.next_subframes(40).blocks, np.concatenate(pieces))


@pytest.mark.parametrize("load", [-0.1, 1.1, float("nan")])
def test_an_impossible_load_is_refused(load: float) -> None:
    with pytest.raises(InvalidArgumentError, match="share from 0 to 1"):
        Traffic(25, load, np.random.default_rng(1))
