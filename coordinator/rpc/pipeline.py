"""Work on a stream of requests: several at once, answered in order, in batches that share a transaction."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

RequestT = TypeVar("RequestT")
WorkT = TypeVar("WorkT")


async def in_batches(
    requests: AsyncIterator[RequestT], work: Callable[[RequestT], Awaitable[WorkT]], depth: int
) -> AsyncIterator[list[WorkT]]:
    """Yield the results of `work` in the order of the requests; each batch holds what is done by then.

    At most `depth` requests are in work, so a fast sender waits instead of filling the memory.
    """
    queue: asyncio.Queue[asyncio.Future[WorkT] | None] = asyncio.Queue(depth)

    async def read() -> None:
        async for request in requests:
            await queue.put(asyncio.ensure_future(work(request)))
        await queue.put(None)

    reader = asyncio.create_task(read())
    waiting: list[asyncio.Future[WorkT]] = []
    try:
        ended = False
        while not ended:
            next_one = await _either(queue, reader)
            batch = []
            while next_one is not None:
                waiting = [next_one]
                batch.append(await next_one)
                if queue.empty():
                    break
                next_one = queue.get_nowait()
            ended = next_one is None
            if batch:
                yield batch
        await reader
    finally:
        reader.cancel()
        for future in (*waiting, *_drain(queue)):
            future.cancel()


async def _either(
    queue: "asyncio.Queue[asyncio.Future[WorkT] | None]", reader: "asyncio.Task[None]"
) -> "asyncio.Future[WorkT] | None":
    """Return the next entry; when the reader broke instead, raise what broke it."""
    entry = asyncio.ensure_future(queue.get())
    await asyncio.wait((entry, reader), return_when=asyncio.FIRST_COMPLETED)
    if not entry.done() and reader.done() and reader.exception() is not None:
        entry.cancel()
        await reader
    return await entry


def _drain(queue: "asyncio.Queue[asyncio.Future[WorkT] | None]") -> list["asyncio.Future[WorkT]"]:
    left = []
    while not queue.empty():
        entry = queue.get_nowait()
        if entry is not None:
            left.append(entry)
    return left
