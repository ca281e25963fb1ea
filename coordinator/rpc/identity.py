"""Who calls: a member by its certificate, an operator by its token; and who may call what, read from the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from bandwatch import names
from bandwatch.errors import PermissionDeniedError, UnauthenticatedError
from bandwatch.identity.certificates import fingerprint, read_certificate
from bandwatch.wire.channel import AUTHORIZATION
from bandwatch.wire.v1 import (
    admin_service_pb2,
    authority_pb2,
    enrollment_service_pb2,
    observer_service_pb2,
    training_service_pb2,
)
from coordinator.registry.callers import Caller, Role, current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.gathering import Gathering
from coordinator.services.identity import certificates, operators
from coordinator.services.identity.join_tokens import role_of

if TYPE_CHECKING:
    import grpc.aio

__all__ = ["METHODS", "SERVICES", "Caller", "Doorkeeper", "Role", "current_caller"]

_MODULES: Final[tuple[ModuleType, ...]] = (
    enrollment_service_pb2,
    observer_service_pb2,
    training_service_pb2,
    admin_service_pb2,
)
_PREFIX: Final = "ROLE_"


def _methods() -> dict[str, Role | None]:
    found: dict[str, Role | None] = {}
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                number = method.GetOptions().Extensions[authority_pb2.caller]
                word = authority_pb2.Role.Name(number).removeprefix(_PREFIX).lower()
                found[f"/{service.full_name}/{method.name}"] = Role(word) if number else None
    return found


METHODS: Final = _methods()
"""The least that a caller of each method must be; None serves nobody."""
SERVICES: Final = tuple(dict.fromkeys(path.split("/")[1] for path in METHODS))

_CERTIFICATE: Final = "x509_pem_cert"


class Doorkeeper:
    """Tells callers apart, and lets each do only what its role includes.

    Whoever shows a certificate has passed TLS; a token may be anybody's guess, and is looked up through `front`.
    """

    def __init__(self, registry: Registry, front: Registry) -> None:
        self._registry = registry
        self._front = front
        self._certificates = Gathering(self._look_up)

    async def admit(self, stranger: Caller, method: str, context: "grpc.aio.ServicerContext[Any, Any]") -> Caller:
        """Return who the stranger is that calls a method.

        Raises:
            UnauthenticatedError: The caller proved nothing, or by something that is worth nothing any more.
            PermissionDeniedError: The caller's role does not include the method.
        """
        needed = METHODS[method]
        if needed is Role.NEWCOMER:
            return stranger
        proofs, metadata = context.auth_context() or {}, dict(context.invocation_metadata() or ())
        caller = await self._identify(stranger, proofs, metadata)
        if needed is None or not caller.may_act_as(needed):
            whom = f"{needed.value}s" if needed else "nobody"
            raise RefusedCallerError(f"{caller.action} serves {whom}, and {caller.name} is no such caller", caller)
        return caller

    async def _identify(self, stranger: Caller, proofs: Mapping[str, Any], metadata: Mapping[str, Any]) -> Caller:
        presented = next(iter(proofs.get(_CERTIFICATE, ())), None)
        if presented is not None:
            return await self._member(stranger, presented)
        bearer = metadata.get(AUTHORIZATION, "")
        if isinstance(bearer, str) and bearer.startswith("Bearer "):
            return await self._operator(stranger, bearer.removeprefix("Bearer "))
        raise UnauthenticatedError(
            "neither a certificate nor a token came with the call: members call the port for members with their "
            "certificate, operators the other one with their token"
        )

    async def _member(self, stranger: Caller, pem: bytes) -> Caller:
        serial, digest = _known_by(pem)
        found = await self._certificates.ask(serial)
        if found is None or found.fingerprint != digest:
            raise UnauthenticatedError("this certificate was not signed here; enrol with a new join token")
        caller = replace(stranger, role=role_of(found.member), name=found.member, key=serial)
        if found.revoked or found.expired:
            fault = "revoked" if found.revoked else "has expired"
            raise GoneCallerError(f"the certificate of {found.member} {fault}; enrol with a new join token", caller)
        return caller

    async def _look_up(self, serials: Sequence[str]) -> list[certificates.Standing | None]:
        async with self._registry.transaction() as session:
            return await certificates.standings(session, serials)

    async def _operator(self, stranger: Caller, token: str) -> Caller:
        async with self._front.transaction() as session:
            operator = await operators.find_by_token(session, token)
        if operator is None:
            raise UnauthenticatedError("this token is not known here; ask an admin for a new one")
        name = names.operators.name(operator.id)
        return replace(stranger, role=Role(operator.role), name=name, key=operator.id)


class RefusedCallerError(PermissionDeniedError):
    """A known caller asked for what it may not do."""

    def __init__(self, message: str, caller: Caller | None = None) -> None:
        super().__init__(message)
        self.caller = caller


class GoneCallerError(UnauthenticatedError):
    """Whoever calls was a member once, or an operator."""

    def __init__(self, message: str, caller: Caller | None = None) -> None:
        super().__init__(message)
        self.caller = caller


@lru_cache(maxsize=4096)
def _known_by(pem: bytes) -> tuple[str, str]:
    """Return the serial and the digest of a certificate; connections show the same one with every call."""
    certificate = read_certificate(pem)
    return certificates.serial_text(certificate.serial_number), fingerprint(certificate)
