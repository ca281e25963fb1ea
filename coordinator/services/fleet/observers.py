"""Observers: who they are, what they are to be, and what they say they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Text, any_, bindparam, column, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
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


_ROWS: Final = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(column("id", Text), column("reported", JSONB))
    .render_derived(with_types=True)
)
_FREE: Final = (
    select(Observer.id)
    .where(Observer.id == any_(bindparam("ids", type_=ARRAY(Text))))
    .with_for_update(skip_locked=True, key_share=True)
    .subquery("free")
)
_REPORT: Final = (
    update(Observer)
    .where(Observer.id == _ROWS.c.id)
    .values(reported=_ROWS.c.reported, last_sync_at=func.now())
    .returning(Observer)
    .execution_options(synchronize_session=False)
)
_REPORT_FREE: Final = _REPORT.where(Observer.id == _FREE.c.id)
"""Writes what observers report, of those whose rows nobody else holds. One text for any number of them."""
_PLACES: Final = (
    select(Cell, Band)
    .join(Band, Band.id == Cell.band_id)
    .where(Cell.id.in_(select(Observer.cell_id).where(Observer.id == any_(bindparam("ids", type_=ARRAY(Text))))))
)
_REVISIONS: Final = select(Observer.id, Observer.revision).where(
    Observer.id == any_(bindparam("ids", type_=ARRAY(Text)))
)


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
    """Record what an agent says of itself and return what it is to be, once nobody else holds its row.

    Raises:
        NotFoundError: The observer has been removed.
    """
    rows = [{"id": observer_id, "reported": reported}]
    heard = (await session.scalars(_REPORT, {"rows": rows})).all()
    if not heard:
        raise NotFoundError(f"{names.observers.name(observer_id)} is not registered any more")
    return (await _desired_states(session, heard))[observer_id]


async def sync_free(session: AsyncSession, reports: Mapping[str, dict[str, Any]]) -> dict[str, DesiredState]:
    """Do the same for many agents at once, without waiting: one that was removed, or is being changed, is left out."""
    rows = [{"id": observer_id, "reported": reported} for observer_id, reported in reports.items()]
    heard = (await session.scalars(_REPORT_FREE, {"rows": rows, "ids": list(reports)})).all()
    return await _desired_states(session, heard)


async def _desired_states(session: AsyncSession, heard: Sequence[Observer]) -> dict[str, DesiredState]:
    """Return what observers are to be, by their names."""
    ids = [observer.id for observer in heard]
    places = {cell.id: (cell, band) for cell, band in await session.execute(_PLACES, {"ids": ids})}
    posts = {
        observer.id: rollouts.Post(observer.id, places[observer.cell_id][1].id, observer.cell_id) for observer in heard
    }
    assigned = await rollouts.assigned_each(session, posts.values())
    self_test = await self_tests.ordered_from_each(session, ids)
    capture = await captures.in_force(session, ids)
    found = {}
    for observer in heard:
        cell, band = places[observer.cell_id]
        runs = assigned[posts[observer.id]]
        found[observer.id] = DesiredState(
            observer,
            cell,
            band,
            runs.release,
            self_test.get(observer.id),
            teacher=runs.teacher,
            global_release=runs.of_all,
            shadow=runs.shadow,
            neighbours=tuple(await neighbours.list_neighbours(session, observer, cell)),
            capture=capture.get(observer.id),
        )
    return found


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


async def revisions_of(session: AsyncSession, observer_ids: Sequence[str]) -> dict[str, int]:
    """Return the revisions of the desired states of observers, by their names, of those that are registered."""
    return {row.id: row.revision for row in await session.execute(_REVISIONS, {"ids": list(observer_ids)})}


async def _require_cell(session: AsyncSession, cell_id: str) -> None:
    if await session.get(Cell, cell_id) is None:
        raise FailedPreconditionError(f"{names.cells.name(cell_id)} is not registered; create it before its observers")
