"""Certificates of members: made, renewed, revoked, and looked at on every call."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from sqlalchemy import Text, any_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.errors import NotFoundError, UnauthenticatedError, UnavailableError
from bandwatch.identity.certificates import fingerprint
from bandwatch.identity.keyring import Keyring
from bandwatch.identity.requests import open_request
from coordinator.registry.identities import Certificate, JoinToken
from coordinator.services.paging import Page, PageRequest, read_page

RENEWALS_PER_HOUR: Final = 20
"""More than any rotation needs; a member that asks for more is at fault."""


_OF_THESE: Final = Certificate.serial == any_(bindparam("serials", type_=ARRAY(Text)))
"""One text for any number of serials, which is compiled and prepared once."""
_ENDED: Final = select(Certificate.serial).where(
    _OF_THESE, or_(Certificate.revoked_at.is_not(None), Certificate.expires_at <= func.now())
)
_STANDINGS: Final = select(
    Certificate.serial,
    Certificate.member,
    Certificate.fingerprint,
    Certificate.revoked_at.is_not(None),
    Certificate.expires_at <= func.now(),
).where(_OF_THESE)


@dataclass(frozen=True)
class Standing:
    """How a certificate stands at this moment."""

    member: str
    fingerprint: str
    revoked: bool
    expired: bool


def serial_text(number: int) -> str:
    """Return a serial number as the registry keeps it."""
    return f"{number:x}"


async def issue(
    session: AsyncSession, keyring: Keyring, member: str, request: bytes, lifetime: timedelta
) -> x509.Certificate:
    """Sign a member's request for a certificate.

    Raises:
        InvalidArgumentError: It is no request, or its sender does not hold the key.
    """
    authority = keyring.for_members
    certificate = authority.issue_member(open_request(request), member, lifetime)
    session.add(
        Certificate(
            serial=serial_text(certificate.serial_number),
            member=member,
            fingerprint=fingerprint(certificate),
            authority=authority.digest,
            expires_at=certificate.not_valid_after_utc,
        )
    )
    await session.flush()
    return certificate


async def _one_at_a_time(session: AsyncSession, member: str) -> None:
    """Wait for whoever renews or revokes certificates of a member: what is revoked meanwhile is not renewed."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"certificates of {member}", 0))))


async def renew(
    session: AsyncSession, keyring: Keyring, member: str, request: bytes, lifetime: timedelta, *, serial: str
) -> x509.Certificate:
    """Sign another certificate for a member; the one that it has stays good until it expires.

    Raises:
        InvalidArgumentError: See `issue`.
        UnauthenticatedError: The certificate that it calls with has ended meanwhile.
        UnavailableError: The member asked too often.
    """
    await _one_at_a_time(session, member)
    if await ended(session, [serial]):
        raise UnauthenticatedError(f"the certificate of {member} ended meanwhile; enrol with a new join token")
    recent = select(func.count()).where(
        Certificate.member == member, Certificate.created_at > func.now() - timedelta(hours=1)
    )
    if (await session.scalar(recent) or 0) >= RENEWALS_PER_HOUR:
        raise UnavailableError(f"{member} got {RENEWALS_PER_HOUR} certificates within an hour; try again later")
    return await issue(session, keyring, member, request, lifetime)


async def standings(session: AsyncSession, serials: Sequence[str]) -> list[Standing | None]:
    """Return how each of these certificates stands, or nothing for one that was never signed here."""
    rows = await session.execute(_STANDINGS, {"serials": list(serials)})
    found = {serial: Standing(member, digest, revoked, expired) for serial, member, digest, revoked, expired in rows}
    return [found.get(serial) for serial in serials]


async def ended(session: AsyncSession, serials: Collection[str]) -> Sequence[str]:
    """Return which of these certificates are worth nothing any more."""
    return (await session.scalars(_ENDED, {"serials": list(serials)})).all()


async def revoke(session: AsyncSession, member: str) -> int:
    """Revoke the certificates of a member and the join tokens that wait for it, and return how many certificates.

    Calls are refused from the commit on; open streams end within two seconds, whichever coordinator serves them.
    """
    await _one_at_a_time(session, member)
    await session.execute(delete(JoinToken).where(JoinToken.member == member, JoinToken.used_at.is_(None)))
    revoked = await session.scalars(
        update(Certificate)
        .where(Certificate.member == member, Certificate.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(Certificate.serial)
    )
    return len(revoked.all())


async def revoke_worker(session: AsyncSession, worker: str) -> None:
    """Shut a worker out.

    Raises:
        NotFoundError: No worker of that name ever enrolled.
    """
    known = await session.scalar(select(func.count()).where(Certificate.member == worker))
    if not known:
        raise NotFoundError(f"{worker} never enrolled here; `bandwatch certificates list` shows who did")
    await revoke(session, worker)


async def unprepared(session: AsyncSession, authority: str) -> Sequence[str]:
    """Return the members whose certificates are all of other authorities: trusting only this one would cut them off."""
    good = [Certificate.revoked_at.is_(None), Certificate.expires_at > func.now()]
    renewed = select(Certificate.member).where(*good, Certificate.authority == authority)
    query = select(Certificate.member).where(*good, Certificate.member.not_in(renewed))
    return (await session.scalars(query.distinct().order_by(Certificate.member))).all()


async def list_certificates(session: AsyncSession, page: PageRequest, *, member: str) -> Page[Certificate]:
    """List certificates, newest first, of one member or of all."""
    query = select(Certificate)
    if member:
        query = query.where(Certificate.member == member)
    return await read_page(session, query, [Certificate.created_at, Certificate.serial], page, newest_first=True)
