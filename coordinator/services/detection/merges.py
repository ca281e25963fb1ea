"""Events into incidents: one incident for what several observers of a cell see, and its end when nobody sees it."""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.entities import Band, Cell, Observer
from coordinator.registry.incidents import Event, EventKind, Incident, IncidentState, Severity
from coordinator.services.detection import mutes, self_tests, webhooks
from coordinator.services.detection.health import faulty_observers

_MOST_OF_BAND: Final = 2 / 3
"""An event that covers this share of the band may be the receiver's own fault."""
_RETRIED_FOR: Final = timedelta(minutes=10)
_MOST_WEIGHED: Final = 200
"""Events of an incident that decide about its box: those of most evidence."""
_PRESENT: Final = timedelta(minutes=5)
"""An observer that synced so lately watches its cell."""


@dataclass(frozen=True)
class MergeRules:
    """When events belong together, and when they are over.

    Attributes:
        gap: Events of one cell no further apart in time belong together, if their frequencies overlap.
        quiet: An incident has ended when all of its events have, for so long.
        silence: An event of which nothing was heard for so long has ended.
        hold: How long an event over most of the band waits, while others watch the cell too, until one of them sees
            it or its observer is found to be at fault.
        tolerance: Share of the band by which frequencies that do not overlap may be apart.
    """

    gap: timedelta
    quiet: timedelta
    silence: timedelta
    hold: timedelta
    tolerance: float = 0.02


async def lock_cells(session: AsyncSession, cell_ids: Iterable[str]) -> None:
    """Let nobody else place events of these cells until the transaction ends, so that two at once make one incident.

    Always in the same order, so that two who lock several never wait for each other.
    """
    for cell_id in sorted(set(cell_ids)):
        key = func.hashtextextended(f"incidents/{cell_id}", 0)
        await session.execute(select(func.pg_advisory_xact_lock(key)))


class Faults:
    """Which observers are at fault at present, asked once for each cell."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._known: dict[str, set[str]] = {}

    async def of(self, cell_id: str) -> set[str]:
        """Return the observers of a cell that are."""
        if cell_id not in self._known:
            self._known[cell_id] = await faulty_observers(self._session, cell_id)
        return self._known[cell_id]


async def place(session: AsyncSession, event: Event, rules: MergeRules, faults: Faults) -> None:
    """Give an event of a locked cell its incident, a new one where none matches, unless it must wait for now."""
    band = await _band_of(session, event.cell_id)
    tolerance_hz = rules.tolerance * band.width_hz
    faulty = set() if event.self_test_id else await faults.of(event.cell_id)
    if event.observer_id in faulty:
        return
    incident = await session.scalar(
        select(Incident)
        .where(_together(Incident, event, rules.gap, tolerance_hz))
        .order_by(Incident.start_at, Incident.id)
        .limit(1)
    )
    alike = await _waiting_alike(session, event, faulty, _together(Event, event, rules.gap, tolerance_hz))
    if incident is None and not alike and await _must_wait(session, event, band, rules):
        return
    if incident is None:
        incident = _begun(event, band)
        session.add(incident)
        await session.flush()
    for member in (event, *alike):
        member.incident_id = incident.id
    await session.flush()
    await refresh(session, incident, rules, tolerance_hz)


async def refresh(
    session: AsyncSession, incident: Incident, rules: MergeRules, tolerance_hz: float | None = None
) -> None:
    """Make an incident what its events are together, and tell of it where that is news."""
    if tolerance_hz is None:
        tolerance_hz = rules.tolerance * (await _band_of(session, incident.cell_id)).width_hz
    is_new, before = incident.event_count == 0, Severity(incident.severity)
    await _sum_up(session, incident)
    now = (await session.scalars(select(func.now()))).one()
    goes_on = incident.end_at is None or incident.end_at > now - rules.quiet
    if goes_on or is_new:
        incident.state = IncidentState.OPEN
    incident.muted = await mutes.cover(session, incident, tolerance_hz)
    if is_new:
        await self_tests.note_incident(session, incident)
        await webhooks.tell(session, incident, "opened")
    elif Severity(incident.severity).rank > before.rank:
        await webhooks.tell(session, incident, "escalated")
    await session.flush()


async def settle(session: AsyncSession, rules: MergeRules) -> None:
    """End what nobody sees any more, and place events that have waited long enough."""
    now = (await session.scalars(select(func.now()))).one()
    silent = and_(Event.end_at.is_(None), Event.reported_at < now - rules.silence)
    waited = and_(
        Event.incident_id.is_(None),
        Event.first_reported_at.between(now - rules.hold - _RETRIED_FOR, now - rules.hold),
    )
    over = and_(Incident.state == IncidentState.OPEN, Incident.end_at < now - rules.quiet)
    cell_ids = {
        *await session.scalars(select(Event.cell_id).where(or_(silent, waited)).distinct()),
        *await session.scalars(select(Incident.cell_id).where(over).distinct()),
    }
    await lock_cells(session, cell_ids)
    await _end_silent(session, silent, rules)
    faults = Faults(session)
    for event in (await session.scalars(select(Event).where(waited).order_by(Event.start_at))).all():
        if event.incident_id is None:  # it may have come in with another
            await place(session, event, rules, faults)
    for incident in (await session.scalars(select(Incident).where(over))).all():
        incident.state = IncidentState.ENDED
        await webhooks.tell(session, incident, "ended")
    await session.flush()


async def _end_silent(session: AsyncSession, silent: ColumnElement[bool], rules: MergeRules) -> None:
    ended = await session.scalars(
        update(Event)
        .where(silent)
        .values(end_at=func.greatest(Event.start_at, Event.reported_at))
        .returning(Event.incident_id)
        .execution_options(synchronize_session=False)
    )
    for incident_id in sorted({incident_id for incident_id in ended if incident_id}):
        incident = await session.get(Incident, incident_id)
        if incident is not None:
            await refresh(session, incident, rules)


def _together(
    kind: type[Incident] | type[Event], event: Event, gap: timedelta, tolerance_hz: float
) -> ColumnElement[bool]:
    """Whether what is stored overlaps an event in frequency and time, and is of the same cell and self-test."""
    conditions = [
        kind.cell_id == event.cell_id,
        kind.self_test_id.is_not_distinct_from(event.self_test_id),
        kind.low_hz <= event.high_hz + tolerance_hz,
        kind.high_hz >= event.low_hz - tolerance_hz,
        or_(kind.end_at.is_(None), kind.end_at >= event.start_at - gap),
    ]
    if event.end_at is not None:
        conditions.append(kind.start_at <= event.end_at + gap)
    return and_(*conditions)


async def _waiting_alike(
    session: AsyncSession, event: Event, faulty: set[str], together: ColumnElement[bool]
) -> Sequence[Event]:
    """Return the events of other observers that wait and belong together with this one."""
    found = await session.scalars(
        select(Event)
        .where(together, Event.incident_id.is_(None), Event.observer_id.not_in({event.observer_id, *faulty}))
        .order_by(Event.start_at)
    )
    return found.all()


async def _must_wait(session: AsyncSession, event: Event, band: Band, rules: MergeRules) -> bool:
    """Whether a lone event over most of the band may still turn out to be its own receiver's fault."""
    now = (await session.scalars(select(func.now()))).one()
    if event.self_test_id or event.high_hz - event.low_hz < _MOST_OF_BAND * band.width_hz:
        return False
    if event.first_reported_at <= now - rules.hold:
        return False
    others = await session.scalar(
        select(func.count()).where(
            Observer.cell_id == event.cell_id,
            Observer.id != event.observer_id,
            Observer.last_sync_at > now - _PRESENT,
        )
    )
    return bool(others)


def _begun(event: Event, band: Band) -> Incident:
    return Incident(
        id=f"i-{secrets.token_hex(8)}",
        band_id=band.id,
        cell_id=event.cell_id,
        state=IncidentState.OPEN,
        low_hz=event.low_hz,
        high_hz=event.high_hz,
        start_at=event.start_at,
        end_at=event.end_at,
        kind=event.kind,
        kind_confidence=event.kind_confidence,
        severity=event.severity,
        event_count=0,
        peak_value=event.peak_value,
        self_test_id=event.self_test_id,
    )


async def _sum_up(session: AsyncSession, incident: Incident) -> None:
    """Take the frequencies that most evidence agrees on, the hull of times, the kind of most confidence, the worst."""
    rows = await session.execute(
        select(
            Event.kind,
            Event.severity,
            func.count(),
            func.sum(Event.kind_confidence),
            func.min(Event.low_hz),
            func.max(Event.high_hz),
            func.min(Event.start_at),
            func.max(Event.end_at),
            func.bool_or(Event.end_at.is_(None)),
            func.max(Event.peak_value),
        )
        .where(Event.incident_id == incident.id)
        .group_by(Event.kind, Event.severity)
    )
    kinds, severities, counts, confidences, lows, highs, starts, ends, going_on, peaks = zip(*rows, strict=True)
    votes: defaultdict[EventKind, float] = defaultdict(float)
    for kind, confidence in zip(kinds, confidences, strict=True):
        votes[EventKind(kind)] += confidence
    incident.event_count = sum(counts)
    incident.kind = max(votes, key=lambda kind: votes[kind])
    incident.kind_confidence = min(1.0, votes[incident.kind] / incident.event_count)
    incident.severity = max((Severity(severity) for severity in severities), key=lambda severity: severity.rank)
    incident.low_hz, incident.high_hz = await _agreed_box(session, incident.id) or (min(lows), max(highs))
    incident.start_at = min(starts)
    incident.end_at = None if any(going_on) else max(ends)
    incident.peak_value = max(peaks)


async def _agreed_box(session: AsyncSession, incident_id: str) -> tuple[float, float] | None:
    """Return the frequencies that at least half of the evidence covers, each event by its windows and its confidence.

    One observer that sees a box too wide does not widen that of all. None where the events share no frequency so.
    """
    weight = Event.anomalous_windows * Event.kind_confidence
    query = select(Event.low_hz, Event.high_hz, weight).where(Event.incident_id == incident_id)
    rows = (await session.execute(query.order_by(weight.desc()).limit(_MOST_WEIGHED))).all()
    half = sum(weight for *_, weight in rows) / 2
    edges = sorted({edge for low, high, _ in rows for edge in (low, high)})
    agreed = [
        (left, right)
        for left, right in pairwise(edges)
        if sum(weight for low, high, weight in rows if low <= left and high >= right) >= half
    ]
    return (agreed[0][0], agreed[-1][1]) if agreed else None


async def _band_of(session: AsyncSession, cell_id: str) -> Band:
    cell = await session.get_one(Cell, cell_id)  # which a session asks for once, however many events there are
    return await session.get_one(Band, cell.band_id)
