"""What the coordinator's services ask of the database about segments and around them, each with the plan that it gets.

The statements are those that the services really send: they are called, and what they send is written down.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from coordinator.parts import data_rules
from coordinator.registry.callers import SCHEDULE, current_caller
from coordinator.registry.entities import Cell, Purpose
from coordinator.registry.session import Registry
from coordinator.services.detection import health, incidents
from coordinator.services.identity import trust
from coordinator.services.paging import PageRequest
from coordinator.services.training import gate, runs, segments, stages, standings
from coordinator.services.training.segments import NewSegment
from coordinator.settings import CoordinatorSettings

SEGMENTS: Final = "segments"
_EXPLAIN: Final = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
_EXPLAINED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@dataclass(frozen=True)
class Keys:
    """What one call is about."""

    band_id: str
    cell_id: str
    observer_id: str
    boot_id: str
    incident_id: str
    run_id: str


Ask: TypeAlias = Callable[[AsyncSession, Keys], Awaitable[object]]


@dataclass(frozen=True)
class Statement:
    """One statement as it went to the database, with its parameters."""

    text: str
    parameters: Any


@dataclass(frozen=True)
class Plan:
    """How the database carried a statement out."""

    statement: str
    milliseconds: float
    read_pages: int
    """Pages of 8 KiB that were touched, in memory or not."""
    scanned: frozenset[str]
    """Tables that were read from one end to the other."""


async def _for_student(session: AsyncSession, keys: Keys) -> object:
    return await gate.choose(session, [keys.cell_id], _RULES, _RULES.student_data)


async def _for_teacher(session: AsyncSession, keys: Keys) -> object:
    cells = list(await session.scalars(select(Cell.id).where(Cell.band_id == keys.band_id)))
    return await gate.choose(session, cells, _RULES, _RULES.teacher_data)


async def _clean_lately(session: AsyncSession, keys: Keys) -> object:
    return await gate.clean_duration(session, keys.cell_id, _RULES, datetime.now(UTC) - timedelta(hours=24))


async def _by_reason(session: AsyncSession, keys: Keys) -> object:
    return await gate.sum_up(session, [keys.cell_id], _RULES)


def _listed(**wanted: str | Purpose) -> Ask:
    """Return what lists segments; a filter names the key that it takes, or is a purpose."""

    async def ask(session: AsyncSession, keys: Keys) -> object:
        filters = {name: getattr(keys, name) if name in vars(keys) else value for name, value in wanted.items()}
        every: dict[str, Any] = {"cell_id": None, "observer_id": None, "purpose": None}
        return await segments.list_segments(session, PageRequest(), **every | filters)

    return ask


async def _next_page(session: AsyncSession, keys: Keys) -> object:
    page = PageRequest(size=500)
    wanted: dict[str, Any] = {"cell_id": keys.cell_id, "observer_id": None, "purpose": None}
    first, *_ = await segments.list_segments(session, page, **wanted)
    return await segments.list_segments(session, PageRequest(500, first.next_token), **wanted)


async def _evidence(session: AsyncSession, keys: Keys) -> object:
    return await incidents.inspect(session, keys.incident_id)


async def _store(session: AsyncSession, keys: Keys) -> object:
    """Store a batch of an upload: four segments that are new, and four that came before."""
    return await segments.store(session, [_segment(keys, number) for number in (1, 2, 3, 4, -1, -2, -3, -4)])


async def _of_run(session: AsyncSession, keys: Keys) -> object:
    return await runs.list_segments(session, keys.run_id, PageRequest(size=1000))


async def _one(session: AsyncSession, keys: Keys) -> object:
    return await segments.get(session, keys.observer_id, keys.boot_id, 1)


async def _learnt(session: AsyncSession, keys: Keys) -> object:
    return await trust.models_that_learnt_from(session, keys.observer_id)


async def _revoked(session: AsyncSession, keys: Keys) -> object:
    return await trust.revoke(session, keys.observer_id, _RULES, replace_models=False)


async def _standings(session: AsyncSession, _: Keys) -> object:
    return await standings.look(session, _RULES, timedelta(hours=1))


async def _health(session: AsyncSession, _: Keys) -> object:
    return await health.check(session)


async def _stages(session: AsyncSession, _: Keys) -> object:
    await stages.follow(session)
    return None


_RULES: Final = data_rules(CoordinatorSettings())
OF_ONE: Final[Mapping[str, Ask]] = {
    "a student's data: the newest clean segments of a cell": _for_student,
    "a teacher's data: the newest clean segments of a band": _for_teacher,
    "how much of a cell is clean since a day ago": _clean_lately,
    "what of a cell may train, and why the rest may not": _by_reason,
    "list of all segments, first page": _listed(),
    "list of a cell's segments, first page": _listed(cell_id=""),
    "list of a cell's segments, two pages of 500": _next_page,
    "list of an observer's segments, first page": _listed(observer_id=""),
    "list of all evidence, first page": _listed(purpose=Purpose.EVIDENCE),
    "an incident with its events and evidence": _evidence,
    "storing eight segments, four of them again": _store,
    "the segments that a run was ordered with": _of_run,
    "one segment": _one,
    "models that learnt from an observer": _learnt,
    "revoking an observer": _revoked,
}
"""What is asked about one thing, in a call or by a page."""
OF_ALL: Final[Mapping[str, Ask]] = {
    "how all cells stand, for the policies": _standings,
    "health of all observers": _health,
    "stages of all runs": _stages,
}
"""What the schedule asks about everything, again and again."""


def _segment(keys: Keys, number: int) -> NewSegment:
    """Return a new segment of an observer, or for a negative number one that it has sent before."""
    return NewSegment(
        observer_id=keys.observer_id,
        boot_id=keys.boot_id,
        sequence=10**9 + number if number > 0 else -number,
        cell_id=keys.cell_id,
        start_at=datetime.now(UTC) - timedelta(minutes=1),
        clock_error=timedelta(milliseconds=20),
        frame_count=15625,
        reference_dbm=-120.0,
        purpose=Purpose.TRAINING,
        context={},
        clipped_share=0.0,
        lost_samples=0,
        noise_only=False,
        gain_db=30.0,
        scored_by_serial=1,
        anomalous_windows=0,
        codes_digest=f"{abs(number):064x}",
    )


_SAMPLE: Final = text(
    """
    SELECT cell.band_id, cell.id, observer.id, segment.boot_id, incident.id, run.id
    FROM (SELECT *, row_number() OVER (ORDER BY md5(id)) AS place FROM incidents WHERE state = 'ended') incident
    JOIN cells cell ON cell.id = incident.cell_id
    JOIN LATERAL (SELECT id FROM observers WHERE cell_id = cell.id AND trust = 'trusted' ORDER BY id LIMIT 1) observer
        ON true
    JOIN LATERAL (SELECT boot_id FROM segments WHERE observer_id = observer.id LIMIT 1) segment ON true
    JOIN training_runs run ON run."order" ->> 'cell_id' = cell.id
    ORDER BY incident.place LIMIT :count
    """
)


async def choose_keys(registry: Registry, count: int) -> list[Keys]:
    """Return what so many calls are to be about: cells with an incident and a student, always the same ones."""
    async with registry.transaction() as session:
        return [Keys(*row) for row in await session.execute(_SAMPLE, {"count": count})]


async def ask_once(registry: Registry, ask: Ask, keys: Keys) -> tuple[float, list[Statement]]:
    """Ask, take back what it changed, and return the seconds that it took and what went to the database."""
    current_caller.set(SCHEDULE)
    sent: list[Statement] = []

    def note(_: Connection, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:  # noqa: FBT001
        sent.append(Statement(statement, parameters[0] if many else parameters))

    async with _taken_back(registry) as connection, AsyncSession(connection, expire_on_commit=False) as session:
        event.listen(registry.engine.sync_engine, "before_cursor_execute", note)
        begin_s = time.perf_counter()
        try:
            await ask(session, keys)
        finally:
            event.remove(registry.engine.sync_engine, "before_cursor_execute", note)
        return time.perf_counter() - begin_s, sent


async def plans_of(registry: Registry, sent: Sequence[Statement]) -> list[Plan]:
    """Carry out each different statement again, in order, take back what it changed, and return how it was done."""
    different = {statement.text: statement for statement in reversed(sent) if statement.text.startswith(_EXPLAINED)}
    async with _taken_back(registry) as connection:
        return [await _plan_of(connection, statement) for statement in reversed(different.values())]


async def _plan_of(connection: AsyncConnection, statement: Statement) -> Plan:
    explained = (await connection.exec_driver_sql(_EXPLAIN + statement.text, statement.parameters)).scalar_one()[0]
    top = explained["Plan"]
    pages = int(top.get("Shared Hit Blocks", 0)) + int(top.get("Shared Read Blocks", 0))
    return Plan(statement.text, float(explained["Execution Time"]), pages, frozenset(_scanned(top)))


def _scanned(node: Mapping[str, Any]) -> set[str]:
    """Return the tables that a node of a plan, or one below it, reads from one end to the other."""
    own = {str(node["Relation Name"])} if node["Node Type"] == "Seq Scan" else set()
    return own.union(*(_scanned(child) for child in node.get("Plans", ())))


@asynccontextmanager
async def _taken_back(registry: Registry) -> AsyncIterator[AsyncConnection]:
    async with registry.engine.connect() as connection:
        transaction = await connection.begin()
        try:
            yield connection
        finally:
            await transaction.rollback()


def was_too_slow(error: DBAPIError) -> bool:
    """Tell whether the database ended a statement because it took longer than the coordinator allows."""
    return "statement timeout" in str(error)
