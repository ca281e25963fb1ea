"""Requests in work side by side, answered in order; whatever ends it leaves nothing running."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.rpc.pipeline import in_batches

DEPTH = 4


class LostError(Exception):
    """What breaks a stream or a piece of work here."""


async def sent(*requests: int, then: BaseException | None = None) -> AsyncIterator[int]:
    """Send requests at once, then end or break."""
    for request in requests:
        yield request
    if then is not None:
        raise then


async def sent_and_held(*requests: int) -> AsyncIterator[int]:
    """Send requests, and hold the stream open for ever."""
    for request in requests:
        yield request
    await asyncio.Event().wait()


class Work:
    """Work that ends when told to, and counts what is under way."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.under_way: set[int] = set()
        self.most_under_way = 0
        self.cancelled: set[int] = set()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._news = asyncio.Event()

    async def __call__(self, request: int) -> int:
        """Begin work on a request."""
        self.begun.append(request)
        self.under_way.add(request)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        self._news.set()
        try:
            return await self._end_of(request)
        except asyncio.CancelledError:
            self.cancelled.add(request)
            raise
        finally:
            self.under_way.discard(request)

    def _end_of(self, request: int) -> asyncio.Future[int]:
        return self._ends.setdefault(request, asyncio.get_running_loop().create_future())

    def end(self, *requests: int) -> None:
        """Let work on requests succeed with ten times the request."""
        for request in requests:
            self._end_of(request).set_result(10 * request)

    def fail(self, request: int) -> None:
        """Let work on a request fail."""
        self._end_of(request).set_exception(LostError(f"work on {request}"))

    async def until_begun(self, count: int) -> None:
        """Wait until work on so many requests began."""
        while len(self.begun) < count:
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def leaving_nothing() -> AsyncIterator[None]:
    """See that the block ends in time and that no task outlives it."""
    before = asyncio.all_tasks()
    async with asyncio.timeout(20):
        yield
    assert asyncio.all_tasks() == before


async def answers_of(
    requests: AsyncIterator[int],
    work: Work,
    answers: list[int] | None = None,
    stopping: asyncio.Event | None = None,
) -> None:
    """Take every answer."""
    async for batch in in_batches(requests, work, DEPTH, stopping or asyncio.Event()):
        if answers is not None:
            answers += batch


async def settle() -> None:
    """Let every task that can go on do so, some times over."""
    for _ in range(20):
        await asyncio.sleep(0)


@given(st.permutations(range(9)), st.integers(1, 10))
async def test_answers_keep_the_order_of_the_requests_whatever_is_done_first(order: list[int], depth: int) -> None:
    async with leaving_nothing():
        work = Work()

        async def end_in_that_order() -> None:
            for request in order:
                work.end(request)
                await asyncio.sleep(0)

        ending = asyncio.create_task(end_in_that_order())
        batches = [batch async for batch in in_batches(sent(*range(9)), work, depth, asyncio.Event())]
        await ending
        assert [answer for batch in batches for answer in batch] == [10 * request for request in range(9)]
        assert all(1 <= len(batch) <= depth for batch in batches)
        assert work.most_under_way <= depth


async def test_no_request_gives_no_batch() -> None:
    async with leaving_nothing():
        assert [batch async for batch in in_batches(sent(), Work(), DEPTH, asyncio.Event())] == []


async def test_a_fast_sender_waits_while_as_many_as_allowed_are_in_work() -> None:
    async with leaving_nothing():
        work = Work()
        async with aclosing(in_batches(sent_and_held(*range(100)), work, DEPTH, asyncio.Event())) as batches:
            first = asyncio.ensure_future(anext(batches))
            await work.until_begun(DEPTH)
            await settle()
            assert work.begun == list(range(DEPTH))
            work.end(*range(DEPTH))
            assert await first == [0, 10, 20, 30]
            await settle()
            assert len(work.begun) == 2 * DEPTH, "while the caller deals with a batch, the next is in work and no more"


async def test_an_answer_does_not_wait_for_requests_that_have_not_come() -> None:
    async with leaving_nothing():
        work = Work()
        work.end(1)
        async with aclosing(in_batches(sent_and_held(1), work, DEPTH, asyncio.Event())) as batches:
            assert await anext(batches) == [10]


async def test_an_error_in_work_is_raised_and_the_rest_is_cancelled() -> None:
    async with leaving_nothing():
        work = Work()
        work.fail(0)
        with pytest.raises(LostError, match="work on 0"):
            await answers_of(sent_and_held(*range(DEPTH)), work)
        assert work.under_way == set()


async def test_what_was_done_before_work_that_fails_is_answered_before_the_error() -> None:
    async with leaving_nothing():
        work = Work()
        work.end(0, 1)
        work.fail(2)
        answers: list[int] = []
        with pytest.raises(LostError, match="work on 2"):
            await answers_of(sent_and_held(*range(DEPTH)), work, answers)
        assert answers == [0, 10]
        assert work.under_way == set()


async def test_when_several_pieces_of_work_fail_the_first_error_is_raised_and_no_other_is_left_unseen() -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with leaving_nothing():
        work = Work()
        for request in range(DEPTH):
            work.fail(request)
        with pytest.raises(LostError, match="work on 0"):
            await answers_of(sent(*range(DEPTH), then=LostError("the stream")), work)
    del work
    gc.collect()
    assert complaints == []


async def test_what_was_sent_before_the_stream_broke_is_answered_before_the_error() -> None:
    async with leaving_nothing():
        work = Work()
        work.end(1, 2)
        answers: list[int] = []
        with pytest.raises(LostError, match="the stream"):
            await answers_of(sent(1, 2, then=LostError("the stream")), work, answers)
        assert answers == [10, 20]


async def test_cancelling_the_caller_cancels_the_work() -> None:
    async with leaving_nothing():
        work = Work()
        caller = asyncio.create_task(answers_of(sent_and_held(*range(DEPTH)), work))
        await work.until_begun(DEPTH)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert work.cancelled == set(range(DEPTH))


async def test_a_caller_who_leaves_early_leaves_no_work_behind() -> None:
    async with leaving_nothing():
        work = Work()
        work.end(*range(DEPTH))
        async with aclosing(in_batches(sent_and_held(*range(100)), work, DEPTH, asyncio.Event())) as batches:
            await anext(batches)
            await work.until_begun(2 * DEPTH)
        assert work.cancelled == set(range(DEPTH, 2 * DEPTH))
        assert work.under_way == set()


async def test_whoever_stops_answers_what_is_in_work_and_takes_no_more() -> None:
    async with leaving_nothing():
        work, stopping = Work(), asyncio.Event()
        answers: list[int] = []
        caller = asyncio.create_task(answers_of(sent_and_held(*range(100)), work, answers, stopping))
        await work.until_begun(DEPTH)
        stopping.set()
        await settle()
        work.end(*range(DEPTH))
        await caller
        assert answers == [0, 10, 20, 30]
        assert len(work.begun) == DEPTH
