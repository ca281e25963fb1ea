"""Errors as gRPC status codes and back: the code in the status, the precise code and sentence in its details."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc

from bandwatch import errors
from bandwatch.errors import BandwatchError

ERROR_CODE: Final = "bandwatch-error-code"
"""Trailing metadata key that carries the stable code."""

_STATUS: Final[dict[type[BandwatchError], grpc.StatusCode]] = {
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.InvalidArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ConflictError: grpc.StatusCode.ABORTED,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.CorruptError: grpc.StatusCode.DATA_LOSS,
}
_ERROR: Final[dict[grpc.StatusCode, type[BandwatchError]]] = {status: kind for kind, status in _STATUS.items()} | {
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.UnavailableError,
    grpc.StatusCode.CANCELLED: errors.UnavailableError,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.InvalidArgumentError,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidArgumentError,
    grpc.StatusCode.UNIMPLEMENTED: errors.FailedPreconditionError,
}

_AWAY: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_CALL: Final = (grpc.Call, grpc.aio.AioRpcError)


def status_of(error: BandwatchError) -> grpc.StatusCode:
    """Return the status code that stands for an error."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), grpc.StatusCode.INTERNAL)


def error_of(error: grpc.RpcError) -> BandwatchError:
    """Return the error that a failed call stands for; what is unknown counts as unavailable."""
    code = error.code() if isinstance(error, _CALL) else grpc.StatusCode.UNKNOWN
    details = error.details() if isinstance(error, _CALL) else str(error)
    kind = _ERROR.get(code, errors.UnavailableError)
    said_so_itself = ERROR_CODE in dict(error.trailing_metadata() or ()) if isinstance(error, _CALL) else False
    if code in _AWAY and not said_so_itself:
        return kind(f"the coordinator cannot be reached or did not answer: {details or code.name}")
    return kind(details or code.name.lower())


@contextmanager
def bandwatch_errors() -> Iterator[None]:
    """Turn the errors of calls made inside into errors of Bandwatch."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error) from error
