"""Anomalies that observers report."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import InvalidArgumentError, NotFoundError
from coordinator.registry.entities import Anomaly, Cell
from coordinator.services.paging import Page, PageRequest, read_page
from coordinator.services.refusals import Refused


@dataclass(frozen=True)
class NewAnomaly:
    """An anomaly as an observer reported it: the fields of its future row."""

    observer_id: str
    boot_id: str
    sequence: int
    cell_id: str
    window_start_at: datetime
    window_duration: timedelta
    error_db: float
    score: str
    value: float
    threshold: float
    false_alarm_rate: float
    model_id: str
    serial: int
    rung: str = ""


async def record(
    session: AsyncSession, anomalies: Sequence[NewAnomaly], *, clock_lead: timedelta
) -> list[Refused | None]:
    """Record anomalies; a repeated one is accepted again. Each is answered by nothing or by why it was refused."""
    known = set(await session.scalars(select(Cell.id).where(Cell.id.in_({a.cell_id for a in anomalies}))))
    latest = datetime.now(UTC) + clock_lead
    answers = [_refusal(anomaly, known, latest) for anomaly in anomalies]
    rows = [asdict(anomaly) for anomaly, answer in zip(anomalies, answers, strict=True) if answer is None]
    if rows:
        await session.execute(insert(Anomaly).values(rows).on_conflict_do_nothing())
    return answers


def _refusal(anomaly: NewAnomaly, known_cells: set[str], latest: datetime) -> Refused | None:
    if anomaly.cell_id not in known_cells:
        return Refused(
            NotFoundError.code, f"{names.cells.name(anomaly.cell_id)} is not registered: ask the operator to create it"
        )
    if anomaly.window_start_at > latest:
        return Refused(
            InvalidArgumentError.code,
            f"the window starts at {anomaly.window_start_at.isoformat()}, which is in the future here: "
            "set the observer's clock",
        )
    return None


async def list_anomalies(
    session: AsyncSession, page: PageRequest, *, cell_id: str | None, observer_id: str | None
) -> tuple[Page[Anomaly], int]:
    """List anomalies, newest window first, with how many match in all."""
    wanted = []
    if cell_id:
        wanted.append(Anomaly.cell_id == cell_id)
    if observer_id:
        wanted.append(Anomaly.observer_id == observer_id)
    key = [Anomaly.window_start_at, Anomaly.observer_id, Anomaly.boot_id, Anomaly.sequence]
    found = await read_page(session, select(Anomaly).where(*wanted), key, page, newest_first=True)
    count = await session.scalar(select(func.count()).select_from(Anomaly).where(*wanted))
    return found, int(count or 0)
