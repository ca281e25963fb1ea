"""Enrolments: a newcomer with a join token becomes a member with a certificate."""

from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, PermissionDeniedError
from bandwatch.identity.keyring import Keyring
from coordinator.registry.callers import Role
from coordinator.registry.entities import Mobility, Observer, Trust
from coordinator.registry.identities import Certificate, JoinToken
from coordinator.services.fleet import observers
from coordinator.services.identity import certificates, join_tokens


@dataclass(frozen=True)
class Newcomer:
    """Who wants to enrol, with what."""

    name: str
    secret: str
    request: bytes


async def enroll(session: AsyncSession, keyring: Keyring, newcomer: Newcomer, lifetime: timedelta) -> x509.Certificate:
    """Use up a join token, make what it is for, and sign the newcomer's certificate; earlier ones are revoked.

    Raises:
        UnauthenticatedError: The token is not good for this.
        PermissionDeniedError: The observer was shut out for good.
        AlreadyExistsError: The name is taken, and the token is not for this very name.
        InvalidArgumentError: The request for a certificate is none.
    """
    token = await join_tokens.use(session, newcomer.secret, newcomer.name)
    # Two tokens may be used for one name at the same moment.
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(newcomer.name, 0))))
    if token.role == Role.OBSERVER:
        await _prepare_observer(session, token, newcomer.name)
    elif not token.member and await _has_enrolled(session, newcomer.name):
        raise _taken(newcomer.name)
    await certificates.revoke(session, newcomer.name)
    return await certificates.issue(session, keyring, newcomer.name, newcomer.request, lifetime)


async def _prepare_observer(session: AsyncSession, token: JoinToken, name: str) -> None:
    observer = await session.get(Observer, names.observers.id(name))
    if observer is not None:
        if not token.member:
            raise _taken(name)
        if observer.trust is Trust.REVOKED:
            raise PermissionDeniedError(f"{name} was revoked: it can never enrol again; choose another name")
        return
    if token.cell_id is None:
        raise FailedPreconditionError(f"{name} is not registered, and the join token names no cell to register it in")
    made = await observers.create(
        session,
        observer_id=names.observers.id(name),
        title="",
        cell_id=token.cell_id,
        mobility=Mobility.STATIC,
        training_target=None,
    )
    if token.trusted:
        made.trust = Trust.TRUSTED


async def _has_enrolled(session: AsyncSession, name: str) -> bool:
    return bool(await session.scalar(select(func.count()).where(Certificate.member == name)))


def _taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{name} has enrolled before: choose another name, or ask an operator for a join token for this very name"
    )
