"""Observers: who they are, what they are to be, and what they say they are."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, ConflictError, FailedPreconditionError, NotFoundError
from coordinator.registry.entities import Band, Cell, Mobility, Observer, Release, Trust
from coordinator.registry.incidents import SelfTest
from coordinator.registry.policies import CaptureOrder
from coordinator.services.detection import self_tests
from coordinator.services.fleet import captures, neighbours
from coordinator.services.fleet.neighbours import Neighbour
from coordinator.services.paging import Page, PageRequest, read_page
from coordinator.services.releasing import rollout_members, rollouts

DEFAULT_TRAINING_TARGET = timedelta(minutes=5)
"""Local data that a student needs (seed paper, section 5: five minutes)."""


@dataclass(frozen=True)
class DesiredState:
    """What an observer is to be: its cell on its band, what is to run there, and the cells that it may come to."""

    observer: Observer
    cell: Cell
    band: Band
    release: Release | None
    self_test: SelfTest | None = None
    teacher: Release | None = None
    global_release: Release | None = None
    shadow: Release | None = None
    neighbours: tuple[Neighbour, ...] = ()
    capture: CaptureOrder | None = None


async def create(
    session: AsyncSession,
    *,
    observer_id: str,
    title: str,
    cell_id: str,
    mobility: Mobility,
    training_target: timedelta | None,
    trust: Trust = Trust.PROBATION,
    upload_budget_bytes: int = 0,
) -> Observer:
    """Register an observer, on probation unless it is trusted from the start.

    Raises:
        AlreadyExistsError: An observer of that name exists.
        FailedPreconditionError: The cell is not registered.
    """
    name = names.observers.name(observer_id)
    await _require_cell(session, cell_id)
    if await session.get(Observer, observer_id):
        raise AlreadyExistsError(f"{name} exists already; choose another identifier")
    observer = Observer(
        id=observer_id,
        title=title,
        cell_id=cell_id,
        mobility=mobility,
        training_target=DEFAULT_TRAINING_TARGET if training_target is None else training_target,
        trust=trust,
        upload_budget_bytes=upload_budget_bytes,
    )
    session.add(observer)
    await session.flush()
    await session.refresh(observer)
    return observer


async def get(session: AsyncSession, observer_id: str, *, lock: bool = False) -> Observer:
    """Read an observer, and keep others from changing it until the transaction ends where that is asked for.

    Raises:
        NotFoundError: There is none of that name.
    """
    observer = await session.get(Observer, observer_id, with_for_update=lock or None)
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
    upload_budget_bytes: int,
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
            upload_budget_bytes=upload_budget_bytes,
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
    assigned = await rollouts.assigned(session, observer.id, cell_id=cell.id, band_id=band.id)
    teachers = await neighbours.list_teachers(session, [band.id])
    return DesiredState(
        observer,
        cell,
        band,
        assigned.release,
        await self_tests.ordered_from(session, observer.id),
        teacher=neighbours.below(assigned.release, teachers.get(band.id)),
        global_release=teachers.get(None),
        shadow=assigned.shadow,
        neighbours=tuple(await neighbours.list_neighbours(session, observer, cell)),
        capture=await captures.in_force(session, observer.id, cell.id),
    )


async def desired_release(session: AsyncSession, observer: Observer) -> Release | None:
    """Return the release that an observer is to run in its own cell."""
    cell = await session.get_one(Cell, observer.cell_id)
    return (await rollouts.assigned(session, observer.id, cell_id=cell.id, band_id=cell.band_id)).release


async def raise_revisions_of_moving(session: AsyncSession, cell_id: str) -> None:
    """Give the observers that may come to a cell, and those of it, a new desired state."""
    concerned = await session.scalars(
        select(Observer.id).where(or_(Observer.mobility != Mobility.STATIC, Observer.cell_id == cell_id))
    )
    await rollout_members.raise_revisions(session, concerned.all())


async def revision_of(session: AsyncSession, observer_id: str) -> int | None:
    """Return the revision of an observer's desired state."""
    return await session.scalar(select(Observer.revision).where(Observer.id == observer_id))


async def _require_cell(session: AsyncSession, cell_id: str) -> None:
    if await session.get(Cell, cell_id) is None:
        raise FailedPreconditionError(f"{names.cells.name(cell_id)} is not registered; create it before its observers")
