"""What every connection keeps to, shown by what it does."""

import asyncio
from dataclasses import replace
from typing import Final

import grpc
import grpc.aio
import pytest

from bandwatch.identity.authority import Authority
from bandwatch.identity.keyring import Keyring
from bandwatch.wire.channel import (
    AUTHORIZATION,
    LARGEST_MESSAGE_BYTES,
    SERVER_OPTIONS,
    member_credentials,
    open_channel,
    operator_credentials,
)
from tests.unit.trusted_server import (
    KEYRING,
    bare_credentials,
    bearer_credentials,
    member,
    trusted_server_credentials,
)
from tests.unit.wire.one_method_server import DEADLINE_S, METHOD, Context, call, call_blocking, serving

UNLIMITED: Final = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


async def tell_token(_request: bytes, context: Context) -> bytes:
    return str(dict(context.invocation_metadata() or ())[AUTHORIZATION]).encode()


async def tell_name(_request: bytes, context: Context) -> bytes:
    return bytes(next(iter(context.auth_context()["x509_common_name"])))


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
            grpc.aio.secure_channel(f"127.0.0.1:{port}", bare_credentials(), options=UNLIMITED) as client,
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.unary_unary(METHOD, bytes, bytes)(request, timeout=DEADLINE_S)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _status(target: str, credentials: grpc.ChannelCredentials) -> grpc.StatusCode:
    async with open_channel(target, credentials) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=DEADLINE_S)
    return caught.value.code()


async def test_a_server_of_another_authority_never_hears_the_token() -> None:
    heard: list[bytes] = []

    async def listen(request: bytes, context: Context) -> bytes:
        heard.append(await tell_token(request, context))
        return b""

    stranger = Keyring(Authority.make()).authorities
    async with serving(listen) as port:
        code = await _status(f"127.0.0.1:{port}", operator_credentials(stranger, "secret"))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert heard == []


async def test_a_server_that_is_not_known_by_the_name_it_is_called_by_is_refused() -> None:
    async with serving(tell_token) as port:
        assert await _status(f"127.0.0.2:{port}", bearer_credentials("secret")) is grpc.StatusCode.UNAVAILABLE


async def test_plain_text_gets_no_answer() -> None:
    async with serving(echo) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=DEADLINE_S)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_among_members_only_a_certificate_of_the_authority_opens_a_connection() -> None:
    stranger = replace(member("observers/o1", keyring=Keyring(Authority.make())), authorities=KEYRING.authorities)
    async with serving(tell_name, members_only=True) as port:
        target = f"127.0.0.1:{port}"
        async with open_channel(target, member_credentials(member("observers/o1"))) as channel:
            assert await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=DEADLINE_S) == b"observers/o1"
        for other in (bare_credentials(), member_credentials(stranger)):
            assert await _status(target, other) is grpc.StatusCode.UNAVAILABLE


async def test_two_servers_never_share_a_port() -> None:
    async with serving(echo) as port:
        second = grpc.aio.server(options=SERVER_OPTIONS)
        with pytest.raises(RuntimeError):
            second.add_secure_port(f"127.0.0.1:{port}", trusted_server_credentials())


async def test_a_proxy_of_the_environment_never_sees_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with serving(echo) as port:
        assert await call(f"127.0.0.1:{port}", b"direct") == b"direct"
