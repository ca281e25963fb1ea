"""Work on a stream of requests: several at once, answered in order, in batches that share a transaction."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

RequestT = TypeVar("RequestT")
WorkT = TypeVar("WorkT")


async def in_batches(
    requests: AsyncIterator[RequestT], work: Callable[[RequestT], Awaitable[WorkT]], depth: int
) -> AsyncGenerator[list[WorkT], None]:
    """Yield the results of `work` in the order of the requests; each batch holds up to `depth` that came in one go.

    A batch ends early where the sender pauses, and before a request whose work fails: what came before it is answered,
    then the error is raised. At most `depth` requests are in work, those that come while the caller deals with a batch
    included, so a fast sender waits instead of filling the memory.
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
                batch: list[WorkT] = []
                while begun and len(batch) < depth:
                    try:
                        batch.append(await begun[0])
                    except Exception:
                        if batch:
                            break  # it is awaited again after that, and raises then
                        raise
                    begun.popleft()
                    room.release()
                yield batch
            else:
                news.clear()
                await news.wait()
        await reader  # raises what broke it
    finally:
        reader.cancel()
        for future in begun:
            future.cancel()
        # Whoever leaves, by an error or early, leaves nothing running and no error unseen.
        await asyncio.gather(reader, *begun, return_exceptions=True)
