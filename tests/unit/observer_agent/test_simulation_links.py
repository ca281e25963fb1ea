"""Links of simulated observers: what a cut does to calls, and when cuts come."""

import asyncio
import statistics
from itertools import islice

import pytest

from bandwatch.errors import UnavailableError
from observer_agent.simulation.links import Link, LinkFaults, disturb, times_between_cuts_s


async def test_a_cut_breaks_off_calls_under_way_and_lets_none_through_until_it_is_over() -> None:
    link, begun = Link(), asyncio.Event()

    async def call() -> None:
        async with link.call():
            begun.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await begun.wait()
    link.cut()
    with pytest.raises(UnavailableError, match="was cut"):
        await calling
    with pytest.raises(UnavailableError, match="is cut"):
        async with link.call():
            pass
    link.heal()
    async with link.call():
        pass
    [(from_at, until_at)] = link.cuts
    assert until_at is not None
    assert until_at >= from_at


async def test_a_call_that_is_cancelled_for_another_reason_stays_cancelled() -> None:
    link, begun = Link(), asyncio.Event()

    async def call() -> None:
        async with link.call():
            begun.set()
            await asyncio.Event().wait()

    calling = asyncio.create_task(call())
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


async def test_an_error_of_a_call_passes_a_link_unchanged() -> None:
    with pytest.raises(TimeoutError, match="of the call itself"):
        async with Link().call():
            raise TimeoutError("of the call itself")


def schedule(faults: LinkFaults, observer: str) -> list[float]:
    return list(islice(times_between_cuts_s(faults, observer), 2000))


def test_the_same_seed_cuts_a_link_at_the_same_times_and_each_observer_at_its_own() -> None:
    faults = LinkFaults(cut_s=1.0, every_s=30.0, seed=1)
    times_s = schedule(faults, "observers/a")
    assert times_s == schedule(faults, "observers/a")
    assert times_s != schedule(faults, "observers/b")
    assert times_s != schedule(LinkFaults(cut_s=1.0, every_s=30.0, seed=2), "observers/a")
    assert statistics.mean(times_s) == pytest.approx(30.0, rel=0.1)


async def test_a_link_is_whole_again_once_nothing_disturbs_it_any_more() -> None:
    link = Link()
    disturbing = asyncio.create_task(disturb(link, LinkFaults(cut_s=3600.0, every_s=0.01, seed=1), "observers/a"))
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(20), link.call():
            await asyncio.Event().wait()
    assert link.is_cut
    disturbing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await disturbing
    assert not link.is_cut


async def test_without_a_mean_time_between_cuts_no_link_is_cut() -> None:
    link = Link()
    await disturb(link, LinkFaults(cut_s=1.0, every_s=0.0, seed=1), "observers/a")
    assert link.cuts == []
