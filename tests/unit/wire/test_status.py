"""Errors travel: raised on one side, the same error on the other."""

import asyncio
from typing import NoReturn

import grpc
import grpc.aio
import pytest

from bandwatch.errors import (
    BandwatchError,
    CorruptError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from bandwatch.wire.channel import open_channel
from bandwatch.wire.status import ERROR_CODE, bandwatch_errors, error_of, status_of
from tests.unit.trusted_server import bare_credentials
from tests.unit.wire.one_method_server import METHOD, Context, call, call_blocking, serving

KINDS = {kind.code: kind for kind in BandwatchError.__subclasses__() if kind.__module__ == "bandwatch.errors"}
SENTENCE = "Jūra: 100 % of “it”\nis gone; do this instead"


async def refuse(code: bytes, context: Context) -> NoReturn:
    """Fail as the coordinator does."""
    error = KINDS[code.decode()](SENTENCE)
    context.set_trailing_metadata(((ERROR_CODE, error.code),))
    await context.abort(status_of(error), error.message)


async def fail(status: bytes, context: Context) -> NoReturn:
    """Fail as a proxy or gRPC itself would, without the code of an error of ours."""
    await context.abort(grpc.StatusCode[status.decode()], "said elsewhere")


async def test_every_kind_of_error_arrives_as_itself_with_its_sentence() -> None:
    async with serving(refuse) as port:
        for code, kind in KINDS.items():
            with pytest.raises(kind) as caught, bandwatch_errors():
                await call(f"127.0.0.1:{port}", code.encode())
            assert (type(caught.value), caught.value.message) == (kind, SENTENCE)


async def test_every_kind_of_error_arrives_without_asyncio_too() -> None:
    async with serving(refuse) as port:
        for code, kind in KINDS.items():
            with pytest.raises(kind) as caught, bandwatch_errors():
                await asyncio.to_thread(call_blocking, f"127.0.0.1:{port}", code.encode())
            assert (type(caught.value), caught.value.message) == (kind, SENTENCE)


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
async def test_a_status_without_a_code_of_ours_still_arrives_as_one_of_our_errors(status: grpc.StatusCode) -> None:
    async with serving(fail) as port:
        with pytest.raises(BandwatchError, match="said elsewhere") as caught, bandwatch_errors():
            await call(f"127.0.0.1:{port}", status.name.encode())
    expected = next((kind for kind in KINDS.values() if status_of(kind("")) is status), None)
    if expected is not None:
        assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnavailableError),
        (grpc.StatusCode.INTERNAL, UnavailableError),
        (grpc.StatusCode.UNKNOWN, UnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, InvalidArgumentError),
        (grpc.StatusCode.UNIMPLEMENTED, FailedPreconditionError),
    ],
)
async def test_statuses_that_no_error_of_ours_has_become_what_the_caller_can_do_about_them(
    status: grpc.StatusCode, kind: type[BandwatchError]
) -> None:
    async with serving(fail) as port:
        with pytest.raises(kind), bandwatch_errors():
            await call(f"127.0.0.1:{port}", status.name.encode())


async def test_a_server_that_is_not_there_is_unavailable_and_the_sentence_says_so() -> None:
    async with serving(fail) as port:
        pass
    with pytest.raises(UnavailableError, match="the coordinator cannot be reached"), bandwatch_errors():
        await call(f"127.0.0.1:{port}", b"")


async def test_an_answer_that_does_not_come_in_time_is_unavailable() -> None:
    async def never(_request: bytes, _context: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with serving(never) as port, open_channel(f"127.0.0.1:{port}", bare_credentials()) as channel:
        with pytest.raises(UnavailableError, match="did not answer"), bandwatch_errors():
            await channel.unary_unary(METHOD, bytes, bytes)(b"", timeout=0.05)


class ForgedError(CorruptError):
    """A kind of its own below one of the tree."""

    code = "forged"


def test_an_error_below_a_kind_has_the_status_of_its_kind() -> None:
    assert status_of(ForgedError("forged")) is status_of(CorruptError("changed"))


def test_an_error_of_no_kind_is_internal() -> None:
    assert status_of(BandwatchError("what?")) is grpc.StatusCode.INTERNAL


def test_an_error_of_grpc_that_is_no_call_is_unavailable() -> None:
    error = error_of(grpc.RpcError("the channel is closed"))
    assert type(error) is UnavailableError
    assert "the channel is closed" in error.message


def test_errors_that_are_not_of_calls_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), bandwatch_errors():
        raise ZeroDivisionError
    with pytest.raises(CorruptError, match="changed"), bandwatch_errors():
        raise CorruptError("changed")
