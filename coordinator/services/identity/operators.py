"""Operators: who administers the platform, by tokens of which only digests are kept."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.identity.join_tokens import secret_digest
from coordinator.registry.callers import Role
from coordinator.registry.identities import Operator
from coordinator.services.paging import Page, PageRequest, read_page

ROLES: Final = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
_NOTED_EVERY: Final = timedelta(minutes=1)
"""How exactly the last call of an operator is known: not every call is worth a write."""
_SHORTEST_TOKEN: Final = 32


async def create(session: AsyncSession, operator_id: str, role: Role) -> tuple[Operator, str]:
    """Make an operator, and return it with its token.

    Raises:
        AlreadyExistsError: There is one of that name.
        InvalidArgumentError: The role is none of an operator.
    """
    if await session.get(Operator, operator_id) is not None:
        raise AlreadyExistsError(f"{names.operators.name(operator_id)} exists; delete it first, or choose another name")
    token = secrets.token_urlsafe(32)
    return await put(session, operator_id, role, token), token


async def put(session: AsyncSession, operator_id: str, role: Role, token: str) -> Operator:
    """Make an operator with that token and role, or give both to the one that there is.

    Raises:
        InvalidArgumentError: The role is none of an operator, or the token could be guessed.
    """
    if role not in ROLES:
        raise InvalidArgumentError(f"an operator is one of {', '.join(ROLES)}, not {role.value}")
    if len(token) < _SHORTEST_TOKEN:
        raise InvalidArgumentError(
            f"a token has at least {_SHORTEST_TOKEN} characters; remove the file to get a new one"
        )
    names.operators.name(operator_id)
    operator = await session.get(Operator, operator_id)
    if operator is None:
        operator = Operator(id=operator_id)
        session.add(operator)
    operator.role, operator.token_digest = role.value, secret_digest(token)
    await session.flush()
    await session.refresh(operator)
    return operator


async def find_by_token(session: AsyncSession, token: str) -> Operator | None:
    """Return the operator that a token belongs to, and note that it called."""
    operator = await session.scalar(select(Operator).where(Operator.token_digest == secret_digest(token)))
    if operator is not None and _is_due(operator.last_call_at):
        operator.last_call_at = datetime.now(UTC)
    return operator


def _is_due(last_call_at: datetime | None) -> bool:
    return last_call_at is None or datetime.now(UTC) - last_call_at > _NOTED_EVERY


async def gone(session: AsyncSession, operator_ids: set[str]) -> set[str]:
    """Return which of these operators are no more."""
    there = await session.scalars(select(Operator.id).where(Operator.id.in_(operator_ids)))
    return operator_ids - set(there.all())


async def list_operators(session: AsyncSession, page: PageRequest) -> Page[Operator]:
    """List operators by name."""
    return await read_page(session, select(Operator), [Operator.id], page)


async def remove(session: AsyncSession, operator_id: str) -> None:
    """Delete an operator.

    Raises:
        NotFoundError: There is none of that name.
        FailedPreconditionError: It is the last admin: nobody could make another one.
    """
    admins = (
        await session.scalars(select(Operator.id).where(Operator.role == Role.ADMIN.value).with_for_update())
    ).all()
    if admins == [operator_id]:
        raise FailedPreconditionError(
            f"{names.operators.name(operator_id)} is the last admin: make another one before you delete it"
        )
    removed = await session.scalar(delete(Operator).where(Operator.id == operator_id).returning(Operator.id))
    if removed is None:
        raise NotFoundError(f"there is no {names.operators.name(operator_id)}")
