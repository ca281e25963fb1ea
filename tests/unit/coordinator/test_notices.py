"""Hints to those who watch."""

import asyncio

import pytest

from bandwatch.errors import UnavailableError
from coordinator.notices import Notices, set_within

LONG_S = 20


def test_a_hint_wakes_every_stream_of_that_observer_and_no_other() -> None:
    notices = Notices(limit=10)
    with notices.watching("roof") as first, notices.watching("roof") as second, notices.watching("van") as other:
        notices.hint(["roof", "nobody"])
        assert (first.is_set(), second.is_set(), other.is_set()) == (True, True, False)


def test_a_hint_before_anyone_watches_is_lost_and_harmless() -> None:
    notices = Notices(limit=10)
    notices.hint(["roof"])
    with notices.watching("roof") as changed:
        assert not changed.is_set()


def test_a_stop_wakes_every_stream() -> None:
    notices = Notices(limit=10)
    with notices.watching("roof") as first, notices.watching("van") as second:
        notices.hint_all()
        assert first.is_set()
        assert second.is_set()


def test_a_stream_that_ended_is_forgotten_and_the_others_go_on() -> None:
    notices = Notices(limit=10)
    with notices.watching("roof") as staying:
        with notices.watching("roof") as leaving:
            pass
        notices.hint(["roof"])
        assert staying.is_set()
        assert not leaving.is_set()
    assert not notices._watchers, "nothing is kept of observers that nobody watches"


def test_one_stream_above_the_limit_is_refused_until_another_ends() -> None:
    notices = Notices(limit=2)
    with notices.watching("roof"):
        with notices.watching("van"), pytest.raises(UnavailableError, match="rely on Sync instead"):
            notices.watching("roof").__enter__()
        with notices.watching("van") as changed:
            notices.hint(["van"])
            assert changed.is_set()


def test_a_stream_that_broke_counts_no_more() -> None:
    notices = Notices(limit=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), notices.watching("roof"):
            raise ZeroDivisionError


def test_with_a_limit_of_none_nobody_watches() -> None:
    with pytest.raises(UnavailableError, match="0 agents"), Notices(limit=0).watching("roof"):
        pass


async def test_waiting_ends_as_soon_as_the_event_is_set() -> None:
    notices = Notices(limit=1)
    with notices.watching("roof") as changed:
        asyncio.get_running_loop().call_soon(notices.hint, ["roof"])
        assert await set_within(changed, LONG_S)


async def test_waiting_for_an_event_that_is_set_already_ends_at_once() -> None:
    changed = asyncio.Event()
    changed.set()
    assert await set_within(changed, 0)


async def test_waiting_gives_up_after_the_time_and_says_so() -> None:
    assert not await set_within(asyncio.Event(), 0.001)


async def test_a_wait_that_is_cancelled_is_cancelled_and_not_taken_for_the_end_of_the_time() -> None:
    waiting = asyncio.create_task(set_within(asyncio.Event(), LONG_S))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
