"""What every connection keeps to, shown by what it does."""

import asyncio
import socket
from typing import Final

import grpc
import grpc.aio
import pytest

from bandwatch.wire.channel import AUTHORIZATION, LARGEST_MESSAGE_BYTES, SERVER_OPTIONS
from tests.unit.wire.one_method_server import DEADLINE_S, METHOD, Context, call, call_blocking, serving

UNLIMITED: Final = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


async def tell_token(_request: bytes, context: Context) -> bytes:
    return str(dict(context.invocation_metadata() or ())[AUTHORIZATION]).encode()


async def echo(request: bytes, _context: Context) -> bytes:
    return request


async def measure(request: bytes, _context: Context) -> bytes:
    return str(len(request)).encode()


async def inflate(request: bytes, _context: Context) -> bytes:
    return bytes(int(request))


async def test_the_token_goes_with_every_call() -> None:
    async with serving(tell_token) as port:
        assert await call(f"127.0.0.1:{port}", b"", "secret-1") == b"Bearer secret-1"
        assert await asyncio.to_thread(call_blocking, f"127.0.0.1:{port}", b"", "secret-2") == b"Bearer secret-2"


async def test_a_message_of_8_mib_passes_both_ways() -> None:
    content = bytes(LARGEST_MESSAGE_BYTES)
    async with serving(echo) as port:
        assert await call(f"127.0.0.1:{port}", content) == content


async def _refused(port: int, request: bytes) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(f"127.0.0.1:{port}", request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return caught.value.details() or ""


async def test_our_client_neither_sends_nor_takes_a_larger_one_even_where_the_server_would() -> None:
    async with serving(measure, options=UNLIMITED) as port:
        assert "larger than max" in await _refused(port, bytes(LARGEST_MESSAGE_BYTES + 1))
    async with serving(inflate, options=UNLIMITED) as port:
        assert "larger than max" in await _refused(port, str(LARGEST_MESSAGE_BYTES + 1).encode())


async def test_our_server_neither_takes_nor_sends_a_larger_one_even_where_the_client_would() -> None:
    for answer, request in (
        (measure, bytes(LARGEST_MESSAGE_BYTES + 1)),
        (inflate, str(LARGEST_MESSAGE_BYTES + 1).encode()),
    ):
        async with (
            serving(answer) as port,
            grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials(), options=UNLIMITED) as client,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.unary_unary(METHOD, bytes, bytes)(request, timeout=DEADLINE_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def _own_address() -> str:
    """Return an address of this machine that is not loopback, or skip; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
    return address


async def test_a_connection_that_is_not_of_this_machine_alone_is_refused_before_any_token_is_sent() -> None:
    address = _own_address()
    async with serving(tell_token, host="0.0.0.0") as port:  # noqa: S104 - so that only the credentials can refuse
        assert await call(f"127.0.0.1:{port}", b"", "secret") == b"Bearer secret"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(f"{address}:{port}", b"", "secret")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_two_servers_never_share_a_port() -> None:
    async with serving(echo) as port:
        second = grpc.aio.server(options=SERVER_OPTIONS)
        with pytest.raises(RuntimeError):
            second.add_secure_port(f"127.0.0.1:{port}", grpc.local_server_credentials())


async def test_a_proxy_of_the_environment_never_sees_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with serving(echo) as port:
        assert await call(f"127.0.0.1:{port}", b"direct") == b"direct"
