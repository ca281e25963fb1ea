"""Observers: who they are, what they are to be, and what they say they are."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, ConflictError, FailedPreconditionError, NotFoundError
from coordinator.registry.entities import Band, Cell, Mobility, Observer, Release
from coordinator.services import releases
from coordinator.services.paging import Page, PageRequest, read_page

DEFAULT_TRAINING_TARGET = timedelta(minutes=5)
"""Local data that a student needs (seed paper, section 5: five minutes)."""


@dataclass(frozen=True)
class DesiredState:
    """What an observer is to be: its cell on its band, the release to run, and how much to upload for training."""

    observer: Observer
    cell: Cell
    band: Band
    release: Release | None


def token_digest(token: str) -> str:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


async def create(
    session: AsyncSession,
    *,
    observer_id: str,
    title: str,
    cell_id: str,
    mobility: Mobility,
    training_target: timedelta | None,
) -> tuple[Observer, str]:
    """Register an observer and return it with its token, of which only a digest is kept.

    Raises:
        AlreadyExistsError: An observer of that name exists.
        FailedPreconditionError: The cell is not registered.
    """
    name = names.observers.name(observer_id)
    await _require_cell(session, cell_id)
    if await session.get(Observer, observer_id):
        raise AlreadyExistsError(f"{name} exists already; choose another identifier")
    token = secrets.token_urlsafe(32)
    observer = Observer(
        id=observer_id,
        title=title,
        cell_id=cell_id,
        mobility=mobility,
        training_target=DEFAULT_TRAINING_TARGET if training_target is None else training_target,
        token_digest=token_digest(token),
    )
    session.add(observer)
    await session.flush()
    await session.refresh(observer)
    return observer, token


async def find_by_token(session: AsyncSession, token: str) -> Observer | None:
    """Return the observer that a token belongs to."""
    return await session.scalar(select(Observer).where(Observer.token_digest == token_digest(token)))


async def get(session: AsyncSession, observer_id: str) -> Observer:
    """Read an observer.

    Raises:
        NotFoundError: There is none of that name.
    """
    observer = await session.get(Observer, observer_id)
    if observer is None:
        raise NotFoundError(f"{names.observers.name(observer_id)} is not registered; create it first")
    return observer


async def list_observers(session: AsyncSession, page: PageRequest, *, cell_id: str | None) -> Page[Observer]:
    """List observers by name, of one cell or of all."""
    query = select(Observer)
    if cell_id:
        query = query.where(Observer.cell_id == cell_id)
    return await read_page(session, query, [Observer.id], page)


async def change(
    session: AsyncSession,
    *,
    observer_id: str,
    revision: int,
    title: str,
    cell_id: str,
    mobility: Mobility,
    training_target: timedelta | None,
) -> Observer:
    """Replace what an operator may edit, if the observer still is at that revision.

    Raises:
        NotFoundError: There is no such observer.
        ConflictError: It has been changed since that revision.
        FailedPreconditionError: The cell is not registered.
    """
    await _require_cell(session, cell_id)
    changed: Observer | None = await session.scalar(
        update(Observer)
        .where(Observer.id == observer_id, Observer.revision == revision)
        .values(
            title=title,
            cell_id=cell_id,
            mobility=mobility,
            training_target=DEFAULT_TRAINING_TARGET if training_target is None else training_target,
            revision=Observer.revision + 1,
        )
        .returning(Observer)
    )
    if changed is None:
        current = await get(session, observer_id)
        raise ConflictError(
            f"{names.observers.name(observer_id)} is at revision {current.revision}, not {revision}: "
            "somebody changed it first; read it again and repeat the change"
        )
    return changed


async def sync(session: AsyncSession, observer_id: str, reported: dict[str, Any]) -> DesiredState:
    """Record what an agent says of itself and return what it is to be.

    Raises:
        NotFoundError: The observer has been removed.
    """
    observer = await session.scalar(
        update(Observer)
        .where(Observer.id == observer_id)
        .values(reported=reported, last_sync_at=func.now())
        .returning(Observer)
    )
    if observer is None:
        raise NotFoundError(f"{names.observers.name(observer_id)} is not registered any more")
    return await desired_state(session, observer)


async def desired_state(session: AsyncSession, observer: Observer) -> DesiredState:
    """Return what an observer is to be."""
    cell, band = (
        await session.execute(select(Cell, Band).join(Band, Band.id == Cell.band_id).where(Cell.id == observer.cell_id))
    ).one()
    release = await releases.in_force(session, band_id=band.id, cell_id=cell.id)
    return DesiredState(observer, cell, band, release)


async def revision_of(session: AsyncSession, observer_id: str) -> int | None:
    """Return the revision of an observer's desired state."""
    return await session.scalar(select(Observer.revision).where(Observer.id == observer_id))


async def _require_cell(session: AsyncSession, cell_id: str) -> None:
    if await session.get(Cell, cell_id) is None:
        raise FailedPreconditionError(f"{names.cells.name(cell_id)} is not registered; create it before its observers")
