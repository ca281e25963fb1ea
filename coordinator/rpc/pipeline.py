"""Work on a stream of requests: several at once, answered in order, in batches that share a transaction."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

RequestT = TypeVar("RequestT")
WorkT = TypeVar("WorkT")


async def in_batches(
    requests: AsyncIterator[RequestT],
    work: Callable[[RequestT], Awaitable[WorkT]],
    depth: int,
    stopping: asyncio.Event,
) -> AsyncGenerator[list[WorkT], None]:
    """Yield the results of `work` in the order of the requests; each batch holds up to `depth` that came in one go.

    A batch ends early where the sender pauses, and before a request whose work fails: what came before it is answered,
    then the error is raised. At most `depth` requests are in work, those that come while the caller deals with a batch
    included, so a fast sender waits instead of filling the memory. Once `stopping` is set, no more requests are taken:
    those in work are answered, and the batches end.
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
    enough = asyncio.create_task(stopping.wait())
    enough.add_done_callback(lambda _: reader.cancel())
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
        if not reader.cancelled():
            await reader  # raises what broke it
    finally:
        enough.cancel()
        reader.cancel()
        for future in begun:
            future.cancel()
        # Whoever leaves, by an error or early, leaves nothing running and no error unseen.
        await asyncio.gather(enough, reader, *begun, return_exceptions=True)
