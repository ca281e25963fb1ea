"""Trust in observers, and what follows where it is lost."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import BandwatchError, FailedPreconditionError
from coordinator.registry.entities import (
    Model,
    Release,
    ReleaseState,
    RunSegment,
    Segment,
    TrainingRun,
    Trust,
)
from coordinator.registry.policies import ObserverHealth
from coordinator.services.fleet import observers
from coordinator.services.identity import certificates
from coordinator.services.releasing import releases
from coordinator.services.training import orders
from coordinator.services.training.gate import DataRules

MOST_LISTED = 1000
_log = structlog.get_logger()


@dataclass(frozen=True)
class Revocation:
    """What an observer that was shut out leaves behind: segments, models that learnt from them, replacements."""

    segments: int
    model_ids: list[str]
    run_ids: list[str]


async def set_trust(session: AsyncSession, observer_id: str, trust: Trust) -> None:
    """Say whether data of an observer may train.

    Raises:
        NotFoundError: There is no such observer.
        FailedPreconditionError: It was revoked, which is for good.
    """
    observer = await observers.get(session, observer_id, lock=True)
    if observer.trust is Trust.REVOKED:
        raise FailedPreconditionError(
            f"{names.observers.name(observer_id)} was revoked, which is for good; register it again under another name"
        )
    observer.trust = trust


async def revoke(session: AsyncSession, observer_id: str, rules: DataRules, *, replace_models: bool) -> Revocation:
    """Shut an observer out for good. Its segments train nobody from now on. Doing it again is harmless.

    Raises:
        NotFoundError: There is no such observer.
    """
    observer = await observers.get(session, observer_id, lock=True)
    observer.trust = Trust.REVOKED
    await session.flush()
    await certificates.revoke(session, names.observers.name(observer_id))
    await session.execute(delete(ObserverHealth).where(ObserverHealth.observer_id == observer_id))
    segments = await session.scalar(select(func.count()).select_from(Segment).where(Segment.observer_id == observer_id))
    learnt = await models_that_learnt_from(session, observer_id)
    run_ids = await _replace(session, learnt, rules) if replace_models else []
    _log.warning("an observer was revoked", observer=observer_id, models=len(learnt), replacements=len(run_ids))
    return Revocation(int(segments or 0), learnt[:MOST_LISTED], run_ids)


async def models_that_learnt_from(session: AsyncSession, observer_id: str) -> list[str]:
    """Return the models that learnt from an observer's segments, or started from one that did, newest first."""
    direct = (
        select(TrainingRun.model_id.label("id"))
        .join(RunSegment, RunSegment.run_id == TrainingRun.id)
        .where(RunSegment.observer_id == observer_id, TrainingRun.model_id.is_not(None))
        .cte("learnt", recursive=True)
    )
    learnt = direct.union(select(Model.id).join(direct, Model.parent_id == direct.c.id))
    found = await session.scalars(
        select(Model.id).where(Model.id.in_(select(learnt.c.id))).order_by(Model.created_at.desc(), Model.id)
    )
    return list(found)


async def _replace(session: AsyncSession, learnt: Collection[str], rules: DataRules) -> list[str]:
    """Order again what is in force of these models, from data that may still train; teachers first."""
    rows = await session.execute(
        select(Release, TrainingRun)
        .join(TrainingRun, TrainingRun.model_id == Release.model_id)
        .where(
            Release.model_id.in_(learnt),
            Release.state.in_([ReleaseState.ACTIVE, *releases.ON_THE_WAY]),
        )
        .order_by(Release.cell_id.nulls_first(), Release.serial)
    )
    run_ids: list[str] = []
    for release, run in rows.all():
        try:
            async with session.begin_nested():
                replacement = await _order_again(session, run, learnt, rules)
        except BandwatchError as error:
            _log.error("a model cannot be replaced", model=release.model_id, reason=error.message)
        else:
            run_ids.append(replacement.id)
    return list(dict.fromkeys(run_ids))


async def _order_again(
    session: AsyncSession, run: TrainingRun, learnt: Collection[str], rules: DataRules
) -> TrainingRun:
    wanted = orders.order_of(run)
    if isinstance(wanted, orders.StudentOrder):
        wanted = await _without(session, wanted, learnt)
    return await orders.order(session, wanted, rules, run_id="", release_on_success=True, seed=run.seed, plan=run.plan)


async def _without(session: AsyncSession, wanted: orders.StudentOrder, learnt: Collection[str]) -> orders.StudentOrder:
    """Return an order of a student that starts from no such model; from none at all where there is no other."""
    candidates = wanted.teacher_ids or await releases.models_in_force(
        session, outside_cell=wanted.cell_id, limit=orders.MOST_TEACHERS
    )
    teachers = [teacher for teacher in candidates if teacher not in learnt]
    families = wanted.families if teachers else [orders.WITHOUT_TEACHER]
    return replace(wanted, teacher_ids=teachers, families=families, teachers_found=True)
