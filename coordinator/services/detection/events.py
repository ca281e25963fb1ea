"""Events that observers report: the newest report of each counts, and each finds its incident."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import InvalidArgumentError, NotFoundError
from coordinator.registry.entities import Cell
from coordinator.registry.incidents import Event, EventKind, Incident, SelfTest, Severity
from coordinator.services.detection import merges, self_tests
from coordinator.services.refusals import Refused


@dataclass(frozen=True)
class NewEvent:
    """An event as an observer reported it: the fields of its row."""

    observer_id: str
    id: str
    boot_id: str
    sequence: int
    cell_id: str
    low_hz: float
    high_hz: float
    start_at: datetime
    end_at: datetime | None
    kind: EventKind
    kind_confidence: float
    severity: Severity
    windows: int
    anomalous_windows: int
    score: str
    peak_value: float
    threshold: float
    serial: int
    excess_db: float
    self_test_id: str | None


async def record(
    session: AsyncSession, events: Sequence[NewEvent], rules: merges.MergeRules, *, clock_lead: timedelta
) -> list[Refused | None]:
    """Record events; an older or repeated report changes nothing. Each is answered by nothing or by why not.

    Of several reports of one event only the newest counts: what an observer saw while it was away is over by then.
    """
    newest = {(event.observer_id, event.id, event.boot_id): event for event in sorted(events, key=_sequence)}
    known = set(await session.scalars(select(Cell.id).where(Cell.id.in_({e.cell_id for e in events}))))
    latest = datetime.now(UTC) + clock_lead
    await merges.lock_cells(session, {event.cell_id for event in events} & known)
    faults = merges.Faults(session)
    answers = []
    for event in events:
        refusal = _refusal(event, known, latest) or await _refusal_of_test(session, event)
        if refusal is None and newest[event.observer_id, event.id, event.boot_id] is event:
            refusal = await _take(session, event, rules, faults)
        answers.append(refusal)
    return answers


def _sequence(event: NewEvent) -> int:
    return event.sequence


async def _take(
    session: AsyncSession, new: NewEvent, rules: merges.MergeRules, faults: merges.Faults
) -> Refused | None:
    row = await session.get(Event, (new.observer_id, new.id))
    if row is None:
        row = Event(**asdict(new))
        session.add(row)
        await session.flush()
        await session.refresh(row)
        await self_tests.note_event(session, row)
    elif (row.cell_id, row.self_test_id) != (new.cell_id, new.self_test_id):
        return Refused(InvalidArgumentError.code, "an event stays in its cell: report another one under a new number")
    elif row.boot_id == new.boot_id and new.sequence <= row.sequence:
        return None
    else:
        for name, value in asdict(new).items():
            setattr(row, name, value)
        row.reported_at = (await session.scalars(select(func.now()))).one()
        await session.flush()
    incident = None if row.incident_id is None else await session.get(Incident, row.incident_id)
    if incident is None:
        await merges.place(session, row, rules, faults)
    else:
        await merges.refresh(session, incident, rules)
    return None


def _refusal(event: NewEvent, known_cells: set[str], latest: datetime) -> Refused | None:
    if event.cell_id not in known_cells:
        return Refused(
            NotFoundError.code, f"{names.cells.name(event.cell_id)} is not registered: ask the operator to create it"
        )
    if max(event.start_at, event.end_at or event.start_at) > latest:
        return Refused(InvalidArgumentError.code, "the event lies in the future here: set the observer's clock")
    if not event.low_hz < event.high_hz or (event.end_at is not None and event.end_at < event.start_at):
        return Refused(
            InvalidArgumentError.code,
            "the box of an event needs a lower and a higher frequency, a start and an end",
        )
    return None


async def _refusal_of_test(session: AsyncSession, event: NewEvent) -> Refused | None:
    if event.self_test_id is None:
        return None
    test = await session.get(SelfTest, event.self_test_id)
    if test is None or test.observer_id != event.observer_id:
        return Refused(
            NotFoundError.code, f"{names.self_tests.name(event.self_test_id)} was not ordered from this observer"
        )
    return None
