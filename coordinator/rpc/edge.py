"""The one interceptor: authenticates, authorises, validates, sets deadlines, and turns errors into status codes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from bandwatch.errors import (
    BandwatchError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from bandwatch.wire.channel import CALL_DEADLINE_S
from bandwatch.wire.status import ERROR_CODE, status_of
from coordinator.metrics import Metrics
from coordinator.registry.callers import NOBODY, Caller, Role, current_caller
from coordinator.rpc.identity import SERVICES, Doorkeeper
from coordinator.rpc.refusal_log import RefusalLog
from coordinator.rpc.validation import require_valid
from coordinator.rpc.vigil import Vigil

_log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
_STATUS: Final = {code.value[0]: code.name for code in grpc.StatusCode}
Handler = Any
"""grpcio gives method handlers no public type."""


class Edge(grpc.aio.ServerInterceptor):
    """Stands between the network and every servicer of the contract."""

    def __init__(self, doorkeeper: Doorkeeper, vigil: Vigil, refusals: RefusalLog, metrics: Metrics) -> None:
        self._doorkeeper = doorkeeper
        self._vigil = vigil
        self._refusals = refusals
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler of a method of the contract; health and reflection pass as they are."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.split("/")[1] not in SERVICES:
            return handler
        wrap = self._wrap_stream if handler.response_streaming else self._wrap_unary
        return wrap(method, handler)

    def _wrap_unary(self, method: str, handler: Handler) -> Handler:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
        read = _reader(handler)

        async def answer(sent: Any, context: Context) -> Any:
            async with self._timed(method, context):
                request = read(sent)
                require_valid(request)
                async with asyncio.timeout(CALL_DEADLINE_S):
                    return await behaviour(request, context)

        async def answer_many(sent: Any, context: Context) -> Any:
            async with self._guard(method, context) as caller, self._stream(method, caller):
                return await behaviour(_validated(sent, read), context)

        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(answer_many, None, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(answer, None, handler.response_serializer)

    def _wrap_stream(self, method: str, handler: Handler) -> Handler:
        many = handler.request_streaming
        behaviour = handler.stream_stream if many else handler.unary_stream
        read = _reader(handler)

        async def answer(sent: Any, context: Context) -> AsyncIterator[Any]:
            async with self._guard(method, context) as caller, self._stream(method, caller):
                # A stream of items is validated by its servicer, which refuses bad ones one by one.
                async for response in behaviour(_each_read(sent, read) if many else _checked(read(sent)), context):
                    yield response

        make = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        return make(answer, None, handler.response_serializer)

    @asynccontextmanager
    async def _stream(self, method: str, caller: Caller) -> AsyncIterator[None]:
        """Count a stream while it is open, and end it when its caller may not call any more."""
        with self._metrics.open_streams.labels(method.rpartition("/")[2]).track_inprogress():
            async with self._vigil.over(caller):
                yield

    @asynccontextmanager
    async def _timed(self, method: str, context: Context) -> AsyncIterator[Caller]:
        """Guard a call that is no stream, and note how long it took and how it ended."""
        begun_s = time.perf_counter()
        try:
            async with self._guard(method, context) as caller:
                yield caller
        finally:
            took_s = time.perf_counter() - begun_s
            self._metrics.call_seconds.labels(method.rpartition("/")[2], _status(context)).observe(took_s)

    @asynccontextmanager
    async def _guard(self, method: str, context: Context) -> AsyncIterator[Caller]:
        caller = Caller(Role.NEWCOMER, NOBODY, method.rpartition("/")[2], peer=context.peer())
        try:
            caller = await self._doorkeeper.admit(caller, method, context)
            current_caller.set(caller)
            yield caller
        except BandwatchError as error:
            if isinstance(error, (UnauthenticatedError, PermissionDeniedError)):
                await self._refusals.note(getattr(error, "caller", None) or caller, error.code, error.message)
            await _abort(context, error)
        except TimeoutError:
            await _abort(context, UnavailableError(f"no answer within {CALL_DEADLINE_S:.0f} s; try again"))
        except (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: logged with its stack, and the server goes on
            reference = uuid4().hex[:12]
            _log.exception("a call failed unexpectedly", method=method, reference=reference)
            await context.abort(
                grpc.StatusCode.INTERNAL, f"the coordinator failed; its log tells why under {reference}"
            )


_Read = Callable[[bytes], Any]


def _reader(handler: Handler) -> _Read:
    """Return what makes a message of bytes, to be called once it is known who sent them.

    A message may take many times the memory of its bytes: strangers get no further than these.
    """

    def read(content: bytes) -> Any:
        try:
            return handler.request_deserializer(content)
        except DecodeError as error:
            raise InvalidArgumentError("these bytes are no message of this method") from error

    return read


def _status(context: Context) -> str:
    """Return how a call ended, in the words of gRPC."""
    code = context.code()
    if isinstance(code, grpc.StatusCode):
        return code.name
    return _STATUS.get(code, "OK") if code else "OK"


def _checked(request: Any) -> Any:
    require_valid(request)
    return request


async def _each_read(contents: AsyncIterator[bytes], read: _Read) -> AsyncIterator[Any]:
    async for content in contents:
        yield read(content)


async def _validated(contents: AsyncIterator[bytes], read: _Read) -> AsyncIterator[Any]:
    async for request in _each_read(contents, read):
        require_valid(request)
        yield request


async def _abort(context: Context, error: BandwatchError) -> None:
    context.set_trailing_metadata(((ERROR_CODE, error.code),))
    await context.abort(status_of(error), error.message)
