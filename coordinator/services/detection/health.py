"""Health of observers, from the statistics that agents report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bandwatch.spectrogram.bands import FRAME_SECONDS
from coordinator.registry.entities import Observer, Trust
from coordinator.registry.policies import HealthFinding, ObserverHealth
from coordinator.registry.rollouts import ScoreReport, StatisticsReport
from coordinator.services.detection.comparison import Judged, Past, Reading, judge
from coordinator.services.paging import Page, PageRequest, read_page

LATELY: Final = timedelta(minutes=3)
"""Observers that reported in this time are compared, each by its newest report: a fault is known after two at most."""
PAST: Final = timedelta(hours=1)
_LEAST_FRAMES: Final = round(5 / FRAME_SECONDS)
_OFF: Final = (HealthFinding.SENSOR_FAULT, HealthFinding.SPECTRUM, HealthFinding.UNDECIDED)


@dataclass(frozen=True)
class CellHealth:
    """The observers of one cell that reported lately, and what was found out about each."""

    readings: dict[str, Reading]
    judged: dict[str, Judged]


async def check(session: AsyncSession) -> list[tuple[str, Judged]]:
    """Compare the observers of every cell, keep what changed, and return it."""
    cells = await _judge_cells(session, None)
    found = {observer: (cell, health) for cell, health in cells.items() for observer in health.judged}
    changed = []
    rows: list[dict[str, Any]] = []
    known = {row.observer_id: row for row in await session.scalars(select(ObserverHealth))}
    registered = await session.execute(
        select(Observer.id, Observer.cell_id, func.now()).where(Observer.trust != Trust.REVOKED)
    )
    for observer_id, own_cell, now in registered.all():
        cell_id, health = found.get(observer_id, (own_cell, CellHealth({}, {})))
        judged = health.judged.get(observer_id, Judged(HealthFinding.UNKNOWN, "too little was reported lately"))
        before = known.get(observer_id)
        if before is not None and (before.cell_id, before.finding, before.reason) == (cell_id, *_parts(judged)):
            continue
        if before is None or before.finding is not judged.finding:
            changed.append((observer_id, judged))
            since_at = health.readings[observer_id].begin_at if observer_id in health.readings else now
        else:
            since_at = before.since_at
        said = {"finding": judged.finding, "reason": judged.reason, "since_at": since_at}
        rows.append({"observer_id": observer_id, "cell_id": cell_id, **said})
    await _keep(session, rows)
    return changed


def _parts(judged: Judged) -> tuple[HealthFinding, str]:
    return judged.finding, judged.reason


async def _keep(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Write what was found out, all of it at once: a fleet that falls silent changes as a whole."""
    if not rows:
        return
    new = insert(ObserverHealth)
    changed = {name: new.excluded[name] for name in ("cell_id", "finding", "reason", "since_at")}
    connection = await session.connection()  # which sends rows one after the other without waiting for each
    await connection.execute(new.on_conflict_do_update(index_elements=[ObserverHealth.observer_id], set_=changed), rows)


async def faulty_observers(session: AsyncSession, cell_id: str) -> set[str]:
    """Return the observers of a cell whose sensors are at fault by what they reported lately."""
    cells = await _judge_cells(session, cell_id)
    return {
        observer
        for health in cells.values()
        for observer, judged in health.judged.items()
        if judged.finding is HealthFinding.SENSOR_FAULT
    }


async def list_health(
    session: AsyncSession, page: PageRequest, *, cell_id: str | None, faults_only: bool
) -> Page[ObserverHealth]:
    """List what was last found out about observers, by name."""
    query = select(ObserverHealth)
    if cell_id:
        query = query.where(ObserverHealth.cell_id == cell_id)
    if faults_only:
        query = query.where(ObserverHealth.finding.in_(_OFF))
    return await read_page(session, query, [ObserverHealth.observer_id], page)


async def _judge_cells(session: AsyncSession, cell_id: str | None) -> dict[str, CellHealth]:
    readings = await _read_lately(session, cell_id)
    past = await _read_past(session, cell_id)
    return {
        cell: CellHealth({reading.observer_id: reading for reading in there}, judge(there, past))
        for cell, there in readings.items()
    }


def _mean(column: Any) -> ColumnElement[Any]:
    """Return the mean of a figure over spans, each with the weight of its frames."""
    return func.sum(column * StatisticsReport.frames) / func.nullif(func.sum(StatisticsReport.frames), 0)


async def _read_lately(session: AsyncSession, cell_id: str | None) -> dict[str, list[Reading]]:
    """Return the newest report of each observer that has one lately, by the cell that it is of."""
    r, s, other = StatisticsReport, ScoreReport, aliased(StatisticsReport)
    lately = [r.end_at > func.now() - LATELY, r.frames >= _LEAST_FRAMES]
    if cell_id is not None:  # of others nothing needs to be read
        there = select(other.observer_id).where(other.cell_id == cell_id, other.end_at > func.now() - LATELY)
        lately.append(r.observer_id.in_(there))
    newest = (
        select(r).where(*lately).ext(distinct_on(r.observer_id)).order_by(r.observer_id, r.end_at.desc()).subquery()
    )
    report = aliased(r, newest)
    scored = and_(
        s.observer_id == report.observer_id, s.boot_id == report.boot_id, s.sequence == report.sequence, ~s.shadow
    )
    query = select(report, s).outerjoin(s, scored).order_by(report.observer_id)
    rows = await session.execute(query.where(report.cell_id == cell_id) if cell_id else query)
    readings: dict[str, list[Reading]] = {}
    for found, scores in rows.all():
        readings.setdefault(found.cell_id, []).append(_reading(found, scores))
    return readings


def _reading(report: StatisticsReport, scores: ScoreReport | None) -> Reading:
    return Reading(
        report.observer_id,
        report.start_at,
        noise_floor_dbm=report.noise_floor_dbm,
        clipped_share=report.clipped_share,
        noise_only_share=report.noise_only_share,
        anomalous_share=scores.anomalous_windows / scores.windows if scores and scores.windows else None,
        false_alarm_rate=scores.false_alarm_rate if scores else 0.0,
    )


async def _read_past(session: AsyncSession, cell_id: str | None) -> dict[str, Past]:
    """Return what was usual before: in the hour before now, or for one that is off, before it began to be."""
    r, h = StatisticsReport, ObserverHealth
    off = select(h.observer_id).where(h.finding.in_(_OFF))
    recent = r.end_at.between(func.now() - LATELY - PAST, func.now() - LATELY)
    sound = _past().where(recent, r.observer_id.not_in(off))
    ailing = _past().join(h, h.observer_id == r.observer_id)
    ailing = ailing.where(h.finding.in_(_OFF), r.end_at.between(h.since_at - PAST, h.since_at))
    found: dict[str, Past] = {}
    for query in (sound, ailing):
        rows = await session.execute(query.where(r.cell_id == cell_id) if cell_id else query)
        found |= {observer: Past(floor, noise_only) for observer, floor, noise_only in rows.all()}
    return found


def _past() -> Select[str, Any, Any]:
    r = StatisticsReport
    return (
        select(r.observer_id, _mean(r.noise_floor_dbm), _mean(r.noise_only_share))
        .group_by(r.observer_id)
        .having(func.sum(r.frames) >= _LEAST_FRAMES)
    )
