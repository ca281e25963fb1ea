"""Incidents: what operators read and say of them, and what their word means for the data of their time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bandwatch import names
from bandwatch.errors import NotFoundError
from bandwatch.spectrogram.bands import FRAME_SECONDS
from coordinator.registry.entities import Segment
from coordinator.registry.incidents import Event, Incident, IncidentState, Verdict
from coordinator.services.paging import Page, PageRequest, read_page

MARGIN: Final = timedelta(seconds=1)
"""How far beyond an incident's box its signal may be in segments: clocks differ, and windows see it late."""
AROUND: Final = timedelta(seconds=10)
"""How long before and after an incident segments count as its evidence: the one before, and the one after."""
MOST_LISTED: Final = 1000
_LONGEST_SEGMENT: Final = timedelta(seconds=4)
_EXCUSED: Final = (Verdict.KNOWN, Verdict.FALSE)


@dataclass(frozen=True)
class Sight:
    """An incident with its events and the segments that show it, before, during and after."""

    incident: Incident
    events: Sequence[Event]
    evidence: Sequence[Segment]


async def get(session: AsyncSession, incident_id: str) -> Incident:
    """Read an incident.

    Raises:
        NotFoundError: There is none of that name.
    """
    incident = await session.get(Incident, incident_id)
    if incident is None:
        raise NotFoundError(f"{names.incidents.name(incident_id)} does not exist; list incidents to see which do")
    return incident


async def inspect(session: AsyncSession, incident_id: str) -> Sight:
    """Read an incident with the newest reports of its events and its evidence, at most 1000 of each.

    Raises:
        NotFoundError: There is none of that name.
    """
    incident = await get(session, incident_id)
    events = await session.scalars(
        select(Event)
        .where(Event.incident_id == incident_id)
        .order_by(Event.start_at, Event.observer_id, Event.id)
        .limit(MOST_LISTED)
    )
    return Sight(incident, events.all(), await _evidence(session, incident))


async def _evidence(session: AsyncSession, incident: Incident) -> Sequence[Segment]:
    seen_by = select(Event.observer_id).where(Event.incident_id == incident.id)
    until = func.coalesce(incident.end_at, func.now()) + AROUND
    plain = Segment.self_test_id.is_(None) if incident.self_test_id is None else Segment.self_test_id.is_not(None)
    segments = await session.scalars(
        select(Segment)
        .where(
            Segment.cell_id == incident.cell_id,
            Segment.observer_id.in_(seen_by),
            Segment.start_at < until,
            Segment.start_at > incident.start_at - AROUND - _LONGEST_SEGMENT,  # which an index finds
            _end_of(Segment) > incident.start_at - AROUND,
            or_(plain, Segment.self_test_id.is_(None)),
        )
        .order_by(Segment.start_at, Segment.observer_id, Segment.sequence)
        .limit(MOST_LISTED)
    )
    return segments.all()


async def observers_of(session: AsyncSession, incident_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return who saw each of these incidents, in the order in which they saw it."""
    rows = await session.execute(
        select(Event.incident_id, Event.observer_id)
        .where(Event.incident_id.in_(incident_ids))
        .group_by(Event.incident_id, Event.observer_id)
        .order_by(func.min(Event.start_at), Event.observer_id)
    )
    found: dict[str, list[str]] = {incident_id: [] for incident_id in incident_ids}
    for incident_id, observer_id in rows:
        found[incident_id or ""].append(observer_id)
    return found


async def list_incidents(
    session: AsyncSession,
    page: PageRequest,
    *,
    cell_id: str | None,
    state: IncidentState | None,
    with_self_tests: bool,
) -> Page[Incident]:
    """List incidents, newest first."""
    query = select(Incident)
    if cell_id:
        query = query.where(Incident.cell_id == cell_id)
    if state:
        query = query.where(Incident.state == state)
    if not with_self_tests:
        query = query.where(Incident.self_test_id.is_(None))
    return await read_page(session, query, [Incident.created_at, Incident.id], page, newest_first=True)


async def judge(session: AsyncSession, incident_id: str, *, verdict: Verdict | None, note: str, by: str) -> Incident:
    """Acknowledge an incident, and say what it was where a verdict is given.

    Raises:
        NotFoundError: There is none of that name.
    """
    incident = await get(session, incident_id)
    if incident.acknowledged_at is None:
        incident.acknowledged_at = await session.scalar(select(func.now()))
        incident.acknowledged_by = by
    incident.verdict = verdict or incident.verdict
    incident.note = note or incident.note
    await session.flush()
    return incident


def overlapping_incident() -> ColumnElement[bool]:
    """Whether a segment lies in the time of an incident of its cell that nobody called known or false.

    Such a segment does not train: a standing interferer is never learned as normal without an operator's word. Events
    that belong to no incident, as those of an observer at fault, keep that observer's own segments out.
    """
    unexcused = or_(Incident.verdict.is_(None), Incident.verdict.not_in(_EXCUSED))
    alone = exists().where(
        Event.observer_id == Segment.observer_id,
        Event.cell_id == Segment.cell_id,
        Event.incident_id.is_(None),
        Event.self_test_id.is_(None),
        _at_the_time_of(Event.start_at, Event.end_at),
    )
    return or_(_during_incident(unexcused), alone)


def excused_by_verdict() -> ColumnElement[bool]:
    """Whether a segment lies in the time of an incident that an operator called known or false.

    Such a segment trains although the model in force flagged its windows, unless another incident forbids it.
    """
    return _during_incident(Incident.verdict.in_(_EXCUSED))


def _during_incident(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        Incident.cell_id == Segment.cell_id,
        Incident.self_test_id.is_(None),
        condition,
        _at_the_time_of(Incident.start_at, Incident.end_at),
    )


def _at_the_time_of(
    start_at: InstrumentedAttribute[datetime], end_at: InstrumentedAttribute[datetime | None]
) -> ColumnElement[bool]:
    ended_before = and_(end_at.is_not(None), Segment.start_at > end_at + MARGIN)
    return and_(_end_of(Segment) > start_at - MARGIN, case((ended_before, False), else_=True))


def _end_of(segment: type[Segment]) -> ColumnElement[datetime]:
    return segment.start_at + func.make_interval(0, 0, 0, 0, 0, 0, segment.frame_count * FRAME_SECONDS)
