"""How the cells that policies govern stand: what the schedule decides by."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS
from coordinator.registry.entities import Cell, Model, Observer, Release, ReleaseState, RunKind, RunState, Trust
from coordinator.registry.entities import TrainingRun as Run
from coordinator.registry.incidents import Incident
from coordinator.registry.policies import CaptureOrder, HealthFinding, ObserverHealth, Policy
from coordinator.services.releasing.releases import ON_THE_WAY
from coordinator.services.training import drift, gate, policies
from coordinator.services.training.runs import OPEN
from coordinator.services.training.schedule import CellStanding, ObserverStanding, need_of
from coordinator.services.training.stages import present

TRAINING_SHARE: Final = 0.8
"""Of an observer's budget for a day, the rest is for evidence alone."""


@dataclass(frozen=True)
class _Student:
    serial: int
    made_at: datetime
    usual_db: float


@dataclass(frozen=True)
class _Facts:
    """What holds for many cells at once."""

    now: datetime
    students: dict[str, _Student]
    teachers: set[str | None]
    """Bands with a teacher in force; None stands for every band."""
    busy: dict[str, str]
    rest: dict[str, timedelta]
    incidents: dict[str, str]
    faulty: dict[str, set[str]]


async def look(session: AsyncSession, rules: gate.DataRules, rest: timedelta) -> list[tuple[CellStanding, Policy]]:
    """Return how each governed cell stands. Data and observers are looked up only where a student is needed."""
    governed = await policies.governing(session)
    if not governed:
        return []
    facts = await _facts(session, rest)
    return [(await _standing(session, cell, policy, rules, facts), policy) for cell, policy in governed]


async def count_open_runs(session: AsyncSession) -> int:
    """Return how many runs have not ended, whoever ordered them."""
    return int(await session.scalar(select(func.count()).select_from(Run).where(Run.state.in_(OPEN))) or 0)


async def _standing(
    session: AsyncSession, cell: Cell, policy: Policy, rules: gate.DataRules, facts: _Facts
) -> CellStanding:
    student = facts.students.get(cell.id)
    faulty = facts.faulty.get(cell.id, set())
    standing = CellStanding(
        cell_id=cell.id,
        student_data=policy.student_data,
        student_lifetime=policy.student_lifetime,
        refit_on_drift=policy.refit_on_drift,
        teacher=bool({cell.band_id, None} & facts.teachers),
        student_age=facts.now - student.made_at if student else None,
        busy=facts.busy.get(cell.id, ""),
        rest=facts.rest.get(cell.id, timedelta()),
        incident=facts.incidents.get(cell.id, ""),
    )
    if student is not None and policy.refit_on_drift:
        drifted = await drift.drift_of(session, cell.id, student.serial, student.usual_db, faulty)
        standing = replace(standing, drift=drifted)
    if not need_of(standing) or standing.busy or not standing.teacher or standing.rest > timedelta():
        return standing
    since = student.made_at if student else None
    clean = await gate.clean_duration(session, cell.id, rules, since)
    return replace(standing, clean=clean, observers=await _observers(session, cell.id, faulty))


async def _observers(session: AsyncSession, cell_id: str, faulty: set[str]) -> tuple[ObserverStanding, ...]:
    """Return the trusted observers of a cell that were heard of lately and are not at fault."""
    ordered = select(CaptureOrder.id).where(
        CaptureOrder.observer_id == Observer.id,
        CaptureOrder.cell_id == cell_id,
        CaptureOrder.expires_at > func.now(),
    )
    rows = await session.execute(
        select(Observer, ordered.exists())
        .where(Observer.cell_id == cell_id, Observer.trust == Trust.TRUSTED, present())
        .order_by(Observer.id)
    )
    return tuple(
        ObserverStanding(observer.id, room_of(observer.reported or {}), capturing=capturing)
        for observer, capturing in rows.all()
        if observer.id not in faulty
    )


def room_of(reported: dict[str, Any]) -> timedelta:
    """Return how many frames an observer may still send for training today, in time, by what it last reported."""
    budget = int(reported.get("upload_budget_bytes", 0))
    if not budget:
        return timedelta.max
    left = max(0.0, TRAINING_SHARE * budget - int(reported.get("uploaded_today_bytes", 0)))
    return timedelta(seconds=left / FRAME_BINS * FRAME_SECONDS)


async def _facts(session: AsyncSession, rest: timedelta) -> _Facts:
    now = (await session.scalars(select(func.now()))).one()
    return _Facts(
        now=now,
        students=await _students(session),
        teachers=set(
            await session.scalars(
                select(Release.band_id).where(Release.cell_id.is_(None), Release.state == ReleaseState.ACTIVE)
            )
        ),
        busy=await _busy(session),
        rest=await _rests(session, now, rest),
        incidents=await _incidents(session),
        faulty=await _faulty(session),
    )


async def _students(session: AsyncSession) -> dict[str, _Student]:
    rows = await session.execute(
        select(Release, Model)
        .join(Model, Model.id == Release.model_id)
        .where(Release.cell_id.is_not(None), Release.state == ReleaseState.ACTIVE)
    )
    return {
        str(release.cell_id): _Student(release.serial, model.created_at, model.trained_content.error.mean_db)
        for release, model in rows.all()
    }


async def _busy(session: AsyncSession) -> dict[str, str]:
    """Return what goes on for cells already: a student's run that has not ended, or its release on the way."""
    found: dict[str, str] = {}
    for release in await session.scalars(
        select(Release).where(Release.cell_id.is_not(None), Release.state.in_(ON_THE_WAY))
    ):
        found[str(release.cell_id)] = f"{names.releases.name(str(release.serial))} is {release.state.value}"
    for run in await session.scalars(select(Run).where(Run.kind == RunKind.STUDENT, Run.state.in_(OPEN))):
        found[str(run.order["cell_id"])] = f"{names.runs.name(run.id)} is {run.state.value}"
    return found


async def _rests(session: AsyncSession, now: datetime, rest: timedelta) -> dict[str, timedelta]:
    """Return for which cells the newest run came to nothing lately, and how long the next one is to wait.

    It came to nothing if it failed or was cancelled, or if its model was not released or was rolled back.
    """
    rows = await session.execute(
        select(Run, Release)
        .outerjoin(Release, Release.model_id == Run.model_id)
        .where(
            Run.kind == RunKind.STUDENT,
            Run.policy_id.is_not(None),
            or_(Run.ended_at > now - rest, Release.state_at > now - rest),
        )
        .order_by(Run.ended_at, Release.serial)
    )
    found: dict[str, timedelta] = {}
    for run, release in rows.all():
        cell_id = str(run.order["cell_id"])
        found.pop(cell_id, None)
        fell = release is not None and release.state is ReleaseState.ROLLED_BACK
        if run.state is not RunState.SUCCEEDED or release is None or fell:
            at = release.state_at if fell else run.ended_at or now  # a rollout may take longer than the rest
            found[cell_id] = at + rest - now
    return found


async def _incidents(session: AsyncSession) -> dict[str, str]:
    """Return the newest incident of each cell that goes on and that nobody has judged."""
    rows = await session.scalars(
        select(Incident)
        .where(Incident.verdict.is_(None), Incident.self_test_id.is_(None), Incident.end_at.is_(None))
        .order_by(Incident.start_at)
    )
    return {row.cell_id: names.incidents.name(row.id) for row in rows}


async def _faulty(session: AsyncSession) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in await session.scalars(
        select(ObserverHealth).where(ObserverHealth.finding == HealthFinding.SENSOR_FAULT)
    ):
        found.setdefault(row.cell_id, set()).add(row.observer_id)
    return found
