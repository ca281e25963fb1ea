"""Join tokens: one-time permissions to enrol."""

import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnauthenticatedError
from bandwatch.identity.join_tokens import JoinToken as TokenText
from bandwatch.identity.join_tokens import secret_digest
from coordinator.registry.callers import Role
from coordinator.registry.entities import Cell, Observer
from coordinator.registry.identities import JoinToken
from coordinator.services.paging import Page, PageRequest, read_page

DEFAULT_LIFETIME: Final = timedelta(days=1)
COLLECTION_OF: Final = {Role.OBSERVER: names.observers, Role.WORKER: names.workers}


def role_of(member: str) -> Role:
    """Return the role that a member's name tells.

    Raises:
        InvalidArgumentError: It is the name of no member.
    """
    for role, collection in COLLECTION_OF.items():
        if member.startswith(f"{collection.word}/"):
            collection.id(member)
            return role
    raise InvalidArgumentError(f"{member!r} is no name of a member: write observers/NAME or workers/NAME")


async def create(
    session: AsyncSession,
    authorities: bytes,
    role: Role,
    *,
    member: str = "",
    cell_id: str | None = None,
    trusted: bool = False,
    lifetime: timedelta | None = None,
) -> tuple[JoinToken, str]:
    """Make a token for a role, and return it with its text, of which only a digest is kept.

    Raises:
        InvalidArgumentError: The member's name does not fit the role.
        FailedPreconditionError: The cell, or the observer that needs none, is not registered.
    """
    if member and role_of(member) is not role:
        raise InvalidArgumentError(f"{member} cannot enrol as {role.value}: give a name of that kind")
    if role is Role.OBSERVER:
        await _require_place(session, member, cell_id)
    elif cell_id:
        raise InvalidArgumentError("only observers belong to a cell")
    text = TokenText.make(member, authorities)
    token = JoinToken(
        id=secrets.token_hex(6),
        role=role.value,
        member=member,
        cell_id=cell_id,
        trusted=trusted,
        secret_digest=text.digest,
        expires_at=func.now() + (lifetime or DEFAULT_LIFETIME),
    )
    session.add(token)
    await session.flush()
    await session.refresh(token)
    return token, text.to_text()


async def _require_place(session: AsyncSession, member: str, cell_id: str | None) -> None:
    if cell_id and await session.get(Cell, cell_id) is None:
        raise FailedPreconditionError(f"{names.cells.name(cell_id)} is not registered; create it first")
    known = member and await session.get(Observer, names.observers.id(member)) is not None
    if not known and not cell_id:
        raise FailedPreconditionError(
            f"{member or 'a new observer'} is not registered: create it first, or name the cell that it will watch"
        )


async def use(session: AsyncSession, secret: str, member: str) -> JoinToken:
    """Use a token up for a member; of several that try at the same moment one succeeds.

    Raises:
        UnauthenticatedError: It is unknown, used, expired, or not for that member.
    """
    token: JoinToken | None = await session.scalar(
        update(JoinToken)
        .where(
            JoinToken.secret_digest == secret_digest(secret),
            JoinToken.used_at.is_(None),
            JoinToken.expires_at > func.now(),
            JoinToken.role == role_of(member).value,
            or_(JoinToken.member == "", JoinToken.member == member),
        )
        .values(used_at=func.now(), used_by=member)
        .returning(JoinToken)
    )
    if token is None:
        raise UnauthenticatedError(
            f"this join token is unknown, used up, expired, or not for {member}; ask an operator for a new one"
        )
    return token


async def list_tokens(session: AsyncSession, page: PageRequest) -> Page[JoinToken]:
    """List tokens, newest first."""
    return await read_page(session, select(JoinToken), [JoinToken.created_at, JoinToken.id], page, newest_first=True)


async def remove(session: AsyncSession, token_id: str) -> None:
    """Delete a token that nobody is to use any more.

    Raises:
        NotFoundError: There is no such token.
    """
    removed = await session.scalar(delete(JoinToken).where(JoinToken.id == token_id).returning(JoinToken.id))
    if removed is None:
        raise NotFoundError(f"there is no {names.join_tokens.name(token_id)}")
