"""Who calls: an observer by its own token, operators and workers by theirs; never anybody anonymous."""

import hmac
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bandwatch.errors import PermissionDeniedError, UnauthenticatedError
from bandwatch.wire.channel import AUTHORIZATION
from coordinator.registry.session import Registry
from coordinator.services import observers


class Role(StrEnum):
    """What a caller is."""

    OBSERVER = "observer"
    OPERATOR = "operator"
    WORKER = "worker"


ROLE_OF_SERVICE: Final = {
    "bandwatch.v1.ObserverService": Role.OBSERVER,
    "bandwatch.v1.TrainingService": Role.WORKER,
    "bandwatch.v1.AdminService": Role.OPERATOR,
}


@dataclass(frozen=True)
class Caller:
    """An authenticated caller; `observer_id` is empty for operators and workers."""

    role: Role
    observer_id: str = ""


current_caller: ContextVar[Caller] = ContextVar("current_caller")


class Doorkeeper:
    """Tells callers apart by their bearer tokens."""

    def __init__(self, registry: Registry, *, operator_token: str, worker_token: str) -> None:
        self._registry = registry
        self._shared = {Role.OPERATOR: operator_token.encode(), Role.WORKER: worker_token.encode()}

    async def admit(self, service: str, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return the caller of a service.

        Raises:
            UnauthenticatedError: No token came with the call, or nobody's.
            PermissionDeniedError: The caller's role does not include the service.
        """
        caller = await self._identify(_token(metadata))
        needed = ROLE_OF_SERVICE[service]
        if caller.role is not needed:
            raise PermissionDeniedError(f"{service} serves {needed.value}s only; this token belongs to a {caller.role}")
        return caller

    async def _identify(self, token: str) -> Caller:
        for role, shared in self._shared.items():
            if hmac.compare_digest(shared, token.encode()):
                return Caller(role)
        async with self._registry.transaction() as session:
            observer = await observers.find_by_token(session, token)
        if observer is None:
            raise UnauthenticatedError("this token is not known here; ask an operator for a new one")
        return Caller(Role.OBSERVER, observer.id)


def _token(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == AUTHORIZATION and isinstance(value, str) and value.startswith("Bearer "):
            return value.removeprefix("Bearer ")
    raise UnauthenticatedError("no token came with the call; give the agent, worker or console its token file")
