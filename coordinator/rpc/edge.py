"""The one interceptor: authenticates, authorises, validates, sets deadlines, and turns errors into status codes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import grpc.aio
import structlog

from bandwatch.errors import BandwatchError, UnavailableError
from bandwatch.wire.channel import CALL_DEADLINE_S
from bandwatch.wire.status import ERROR_CODE, status_of
from coordinator.rpc.identity import ROLE_OF_SERVICE, Doorkeeper, current_caller
from coordinator.rpc.validation import require_valid

_log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any
"""grpcio gives method handlers no public type."""


class Edge(grpc.aio.ServerInterceptor):
    """Stands between the network and every servicer of the contract."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Wrap the handler of a method of the contract; health and reflection pass as they are."""
        handler = await continuation(handler_call_details)
        service = handler_call_details.method.split("/")[1]
        if handler is None or service not in ROLE_OF_SERVICE:
            return handler
        wrap = self._wrap_stream if handler.response_streaming else self._wrap_unary
        return wrap(service, handler)

    def _wrap_unary(self, service: str, handler: Handler) -> Handler:
        behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary

        async def answer(request: Any, context: Context) -> Any:
            async with self._guard(service, context):
                if handler.request_streaming:
                    return await behaviour(_validated(request), context)
                require_valid(request)
                async with asyncio.timeout(CALL_DEADLINE_S):
                    return await behaviour(request, context)

        make = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(answer, handler.request_deserializer, handler.response_serializer)

    def _wrap_stream(self, service: str, handler: Handler) -> Handler:
        behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream

        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            async with self._guard(service, context):
                # A stream of items is validated by its servicer, which refuses bad ones one by one.
                if not handler.request_streaming:
                    require_valid(request)
                async for response in behaviour(request, context):
                    yield response

        make = (
            grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_stream_rpc_method_handler
        )
        return make(answer, handler.request_deserializer, handler.response_serializer)

    @asynccontextmanager
    async def _guard(self, service: str, context: Context) -> AsyncIterator[None]:
        try:
            caller = await self._doorkeeper.admit(service, context.invocation_metadata() or ())
            current_caller.set(caller)
            yield
        except BandwatchError as error:
            await _abort(context, error)
        except TimeoutError:
            await _abort(context, UnavailableError(f"no answer within {CALL_DEADLINE_S:.0f} s; try again"))
        except (grpc.aio.AbortError, asyncio.CancelledError, GeneratorExit):
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: logged with its stack, and the server goes on
            reference = uuid4().hex[:12]
            _log.exception("a call failed unexpectedly", service=service, reference=reference)
            await context.abort(
                grpc.StatusCode.INTERNAL, f"the coordinator failed; its log tells why under {reference}"
            )


async def _validated(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        require_valid(request)
        yield request


async def _abort(context: Context, error: BandwatchError) -> None:
    context.set_trailing_metadata(((ERROR_CODE, error.code),))
    await context.abort(status_of(error), error.message)
