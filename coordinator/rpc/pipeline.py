"""Work on a stream of requests: several at once, answered in order, in batches that share a transaction."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

RequestT = TypeVar("RequestT")
WorkT = TypeVar("WorkT")


async def in_batches(
    requests: AsyncIterator[RequestT], work: Callable[[RequestT], Awaitable[WorkT]], depth: int
) -> AsyncIterator[list[WorkT]]:
    """Yield the results of `work` in the order of the requests; each batch holds what is done by then.

    While the caller deals with a batch, work on later requests goes on, so a slow caller gets larger batches. At most
    `depth` requests are in work or wait for their turn, so a fast sender waits instead of filling the memory.
    """
    room = asyncio.Semaphore(depth)
    begun: deque[asyncio.Future[WorkT]] = deque()
    news = asyncio.Event()

    async def read() -> None:
        async for request in requests:
            await room.acquire()
            begun.append(asyncio.ensure_future(work(request)))
            news.set()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: news.set())
    try:
        while begun or not reader.done():
            if begun:
                await begun[0]
                yield _take_done(begun, room)
            else:
                news.clear()
                await news.wait()
        await reader  # raises what broke it
    finally:
        reader.cancel()
        for future in begun:
            future.cancel()


def _take_done(begun: "deque[asyncio.Future[WorkT]]", room: asyncio.Semaphore) -> list[WorkT]:
    """Take what is done from the front, and make room for as much."""
    done = []
    while begun and begun[0].done():
        done.append(begun.popleft().result())
        room.release()
    return done
