"""Publishing to NATS JetStream with its streams on disk, as another way to take segments in.

The server acknowledges a message once it is written to its file, which it syncs from time to time, not each message.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

import nats
from nats.js.api import StorageType, StreamConfig

TIMEOUT_S: Final = 60.0


async def publish_all(url: str, streams: Sequence[Sequence[bytes]], under_way_bytes: int) -> None:
    """Publish messages over a connection for each stream, so many bytes of each under way, until all are acknowledged.

    They go into a stream of JetStream that is made for this and removed after it.
    """
    name = f"bandwatch-benchmark-{uuid4().hex[:8]}"
    connection = await nats.connect(url)
    try:
        jetstream = connection.jetstream(timeout=TIMEOUT_S)
        await jetstream.add_stream(StreamConfig(name=name, subjects=[f"{name}.*"], storage=StorageType.FILE))
        try:
            async with asyncio.TaskGroup() as group:
                for number, messages in enumerate(streams):
                    group.create_task(_publish(url, f"{name}.{number}", messages, under_way_bytes))
        finally:
            await jetstream.delete_stream(name)
    finally:
        await connection.close()


async def takes(url: str, size_bytes: int) -> bool:
    """Tell whether the server takes messages of a size."""
    connection = await nats.connect(url)
    try:
        return size_bytes <= connection.max_payload
    finally:
        await connection.close()


async def _publish(url: str, subject: str, messages: Sequence[bytes], under_way_bytes: int) -> None:
    connection = await nats.connect(url)
    try:
        jetstream = connection.jetstream(timeout=TIMEOUT_S)
        room = asyncio.Semaphore(max(1, under_way_bytes // len(messages[0])))

        async def publish(message: bytes) -> None:
            async with room:
                await jetstream.publish(subject, message)

        await asyncio.gather(*map(publish, messages))
    finally:
        await connection.close()
