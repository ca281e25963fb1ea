"""How far a run has come on the way from its order to the model running everywhere, with the time of each stage."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, String, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bandwatch import names
from coordinator.registry.entities import Cell, Observer, Release, ReleaseState, RunState, TrainingRun, Trust

ORDERED: Final = "ordered"
CLAIMED: Final = "claimed"
TRAINED: Final = "trained"
RELEASED: Final = "released"
EVERYWHERE: Final = "running everywhere"
ABSENT_AFTER: Final = timedelta(minutes=10)
"""An observer that was silent for so long is not waited for."""
_FOLLOWED: Final = timedelta(days=7)
_ON_THE_WAY: Final = (ReleaseState.SHADOW, ReleaseState.CANARY, ReleaseState.ACTIVE)
_ORDER: Final = (RELEASED, *(state.value for state in _ON_THE_WAY), EVERYWHERE)


def stages_of(run: TrainingRun) -> list[tuple[str, datetime]]:
    """Return the stages that a run has reached, in order, each with the database's time of it."""
    reached: list[tuple[str, datetime | None]] = [(ORDERED, run.created_at), (CLAIMED, run.started_at)]
    if run.state is RunState.SUCCEEDED:
        reached.append((TRAINED, run.ended_at))
    noted = ((stage, run.stages[stage]) for stage in _ORDER if stage in run.stages)
    reached += [(stage, datetime.fromisoformat(moment)) for stage, moment in noted]
    return [(stage, moment) for stage, moment in reached if moment is not None]


async def follow(session: AsyncSession) -> None:
    """Note how far the releases of finished runs have come."""
    other = aliased(Release)
    first = select(func.min(other.serial)).where(other.model_id == TrainingRun.model_id).scalar_subquery()
    rows = await session.execute(
        select(TrainingRun, Release, func.now())
        .join(Release, Release.serial == func.coalesce(TrainingRun.release_serial, first))
        .where(
            TrainingRun.state == RunState.SUCCEEDED,
            TrainingRun.ended_at > func.now() - _FOLLOWED,
            ~TrainingRun.stages.has_key(EVERYWHERE),
            Release.state.in_([ReleaseState.CANDIDATE, *_ON_THE_WAY]) | ~TrainingRun.stages.has_key(RELEASED),
        )
    )
    for run, release, now in rows.all():
        noted: dict[str, Any] = {RELEASED: release.created_at.isoformat(), **run.stages}
        if release.state in _ON_THE_WAY:
            entered_at = release.active_at if release.state is ReleaseState.ACTIVE else release.state_at
            noted.setdefault(release.state.value, (entered_at or release.state_at).isoformat())
        if release.state is ReleaseState.ACTIVE and await _runs_everywhere(session, release):
            noted[EVERYWHERE] = now.isoformat()
        if noted != run.stages:
            run.stages, run.release_serial = noted, release.serial


async def _runs_everywhere(session: AsyncSession, release: Release) -> bool:
    """Tell whether every observer of the release's cells that was heard of lately says that it runs it."""
    cell_names = [names.cells.name(cell_id) for cell_id in await session.scalars(_cells_of(release))]
    serial = Observer.reported["running_serial"].astext == str(release.serial)
    known, running = (
        await session.execute(
            select(func.count(), func.count().filter(serial)).where(
                present(), present_cell().in_(cell_names), Observer.trust != Trust.REVOKED
            )
        )
    ).one()
    return bool(known == running > 0)


def present() -> ColumnElement[bool]:
    """Tell whether an observer was heard of lately."""
    return and_(Observer.last_sync_at.is_not(None), Observer.last_sync_at > func.now() - ABSENT_AFTER)


def present_cell() -> ColumnElement[str]:
    """Return the name of the cell that an observer serves at present, which one that moves finds out itself."""
    said = func.nullif(Observer.reported["cell"].astext, "")
    return func.coalesce(said, literal(f"{names.cells.word}/", String) + Observer.cell_id)


def _cells_of(release: Release) -> Select[str]:
    """Select the cells that a release serves: its own, else those without a release on a rung above."""
    if release.cell_id is not None:
        return select(Cell.id).where(Cell.id == release.cell_id)
    active = Release.state == ReleaseState.ACTIVE
    unserved = ~select(Release.serial).where(active, Release.cell_id == Cell.id).exists()
    if release.band_id is not None:
        return select(Cell.id).where(unserved, Cell.band_id == release.band_id)
    of_band = select(Release.serial).where(active, Release.cell_id.is_(None), Release.band_id == Cell.band_id)
    return select(Cell.id).where(unserved, ~of_band.exists())
