"""Mutes: parts of the spectrum that nobody is to be told of for a while."""

import secrets
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import InvalidArgumentError, NotFoundError
from coordinator.registry.incidents import Incident, Mute
from coordinator.services import cells
from coordinator.services.paging import Page, PageRequest, read_page


async def create(
    session: AsyncSession, *, cell_id: str, low_hz: float, high_hz: float, lifetime: timedelta, reason: str
) -> Mute:
    """Keep incidents that lie between two frequencies of a cell quiet for a while.

    Raises:
        InvalidArgumentError: The frequencies hold nothing between them.
        NotFoundError: The cell is not registered.
    """
    if not low_hz < high_hz:
        raise InvalidArgumentError(f"nothing lies between {low_hz:.10g} Hz and {high_hz:.10g} Hz: give the lower first")
    await cells.get_cell(session, cell_id)
    now: datetime = (await session.scalars(select(func.now()))).one()
    mute = Mute(
        id=f"m-{secrets.token_hex(8)}",
        cell_id=cell_id,
        low_hz=low_hz,
        high_hz=high_hz,
        expires_at=now + lifetime,
        reason=reason,
    )
    session.add(mute)
    await session.flush()
    return mute


async def list_mutes(session: AsyncSession, page: PageRequest) -> Page[Mute]:
    """List mutes by name, those that have expired too."""
    return await read_page(session, select(Mute), [Mute.id], page)


async def delete_mute(session: AsyncSession, mute_id: str) -> None:
    """End a mute.

    Raises:
        NotFoundError: There is none of that name.
    """
    gone = await session.scalar(delete(Mute).where(Mute.id == mute_id).returning(Mute.id))
    if gone is None:
        raise NotFoundError(f"{names.mutes.name(mute_id)} does not exist; list mutes to see which do")


async def cover(session: AsyncSession, incident: Incident, tolerance_hz: float) -> bool:
    """Tell whether a mute is in force that an incident lies inside of, to within a tolerance."""
    covered = await session.scalar(
        select(
            exists().where(
                Mute.cell_id == incident.cell_id,
                Mute.expires_at > func.now(),
                Mute.low_hz <= incident.low_hz + tolerance_hz,
                Mute.high_hz >= incident.high_hz - tolerance_hz,
            )
        )
    )
    return bool(covered)
