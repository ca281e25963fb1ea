"""Blobs as streams of chunks, read off the event loop."""

import asyncio
from collections.abc import AsyncIterator

from bandwatch.artifacts.blobs import Blobs


async def blob_chunks(store: Blobs, digest: str, offset: int) -> AsyncIterator[bytes]:
    """Yield a blob from an offset.

    Raises:
        NotFoundError: The store does not hold it.
    """
    chunks = store.chunks(digest, offset)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk
