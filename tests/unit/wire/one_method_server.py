"""A real server with one method, behind the options and credentials of the platform."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from bandwatch.wire.channel import SERVER_OPTIONS, open_blocking_channel, open_channel
from tests.unit.trusted_server import bearer_credentials, trusted_server_credentials

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[bytes, Context], Awaitable[bytes]]

METHOD = "/test/Call"
DEADLINE_S = 30


@asynccontextmanager
async def serving(
    answer: Answer, *, options: Sequence[tuple[str, int]] = SERVER_OPTIONS, members_only: bool = False
) -> AsyncIterator[int]:
    """Serve bytes for bytes until the block ends, and give the port."""
    server = grpc.aio.server(options=options)
    handlers: dict[str, Any] = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    port = server.add_secure_port("127.0.0.1:0", trusted_server_credentials(members_only=members_only))
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def call(target: str, request: bytes, bearer: str = "anybody") -> bytes:
    """Call with asyncio."""
    async with open_channel(target, bearer_credentials(bearer)) as channel:
        return await channel.unary_unary(METHOD, bytes, bytes)(request, timeout=DEADLINE_S)


def call_blocking(target: str, request: bytes, bearer: str = "anybody") -> bytes:
    """Call without asyncio."""
    with open_blocking_channel(target, bearer_credentials(bearer)) as channel:
        return channel.unary_unary(METHOD, bytes, bytes)(request, timeout=DEADLINE_S)
