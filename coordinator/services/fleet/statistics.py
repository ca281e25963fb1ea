"""Statistics that observers report: what their radio saw and what each release said, as sums over spans of time."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import InvalidArgumentError, NotFoundError
from coordinator.registry.entities import Cell, Release
from coordinator.registry.rollouts import ScoreReport, StatisticsReport
from coordinator.services.refusals import Refused

_FORGOTTEN_AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class NewScores:
    """What one release said of the windows of a span: the fields of its future row."""

    serial: int
    shadow: bool
    windows: int
    anomalous_windows: int
    unscored_windows: int
    error_sum_db: float
    error_square_sum_db2: float
    false_alarm_rate: float
    scoring_duration: timedelta


@dataclass(frozen=True)
class NewStatistics:
    """One span of one observer: the fields of its future row, and what the releases said."""

    observer_id: str
    boot_id: str
    sequence: int
    cell_id: str
    start_at: datetime
    duration: timedelta
    frames: int
    power_dbm: float
    noise_floor_dbm: float
    clipped_share: float
    lost_samples: int
    noise_only_share: float
    scores: list[NewScores] = field(default_factory=list)
    compared_active_serial: int | None = None
    compared_shadow_serial: int | None = None
    compared_windows: int = 0
    difference_sum_db: float = 0.0
    difference_square_sum_db2: float = 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        """Who made it, and its number."""
        return self.observer_id, self.boot_id, self.sequence


async def record(
    session: AsyncSession, reports: Sequence[NewStatistics], *, clock_lead: timedelta
) -> list[Refused | None]:
    """Record spans; a repeated one is accepted again. Each is answered by nothing or by why it was refused."""
    cells = set(await session.scalars(select(Cell.id).where(Cell.id.in_({report.cell_id for report in reports}))))
    serials = {scores.serial for report in reports for scores in report.scores}
    released = set(await session.scalars(select(Release.serial).where(Release.serial.in_(serials))))
    latest = datetime.now(UTC) + clock_lead
    answers = [_refusal(report, cells, released, latest) for report in reports]
    await _store(session, [report for report, answer in zip(reports, answers, strict=True) if answer is None])
    return answers


async def _store(session: AsyncSession, reports: Sequence[NewStatistics]) -> None:
    rows = [_row(report) for report in reports]
    if not rows:
        return
    kept = insert(StatisticsReport).values(rows).on_conflict_do_nothing()
    returned = await session.execute(
        kept.returning(StatisticsReport.observer_id, StatisticsReport.boot_id, StatisticsReport.sequence)
    )
    new = {tuple(row) for row in returned}
    scores = [
        {"observer_id": key[0], "boot_id": key[1], "sequence": key[2], **asdict(one)}
        for key, report in {report.key: report for report in reports if report.key in new}.items()
        for one in report.scores
    ]
    if scores:
        await session.execute(insert(ScoreReport).values(scores))


def _row(report: NewStatistics) -> dict[str, Any]:
    row = {name: value for name, value in asdict(report).items() if name != "scores"}
    return {**row, "end_at": report.start_at + report.duration}


async def forget(session: AsyncSession, *, older_than: timedelta) -> int:
    """Drop the oldest spans that nobody looks back on, a part of them at a time, and return how many."""
    key = (StatisticsReport.observer_id, StatisticsReport.boot_id, StatisticsReport.sequence)
    oldest = (
        select(*key)
        .where(StatisticsReport.end_at < func.now() - older_than)
        .order_by(StatisticsReport.end_at)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    gone = await session.execute(
        delete(StatisticsReport)
        .where(tuple_(*key).in_(oldest))
        .returning(StatisticsReport.sequence)
        .execution_options(synchronize_session=False)
    )
    return len(gone.all())


def _refusal(report: NewStatistics, cells: set[str], released: set[int], latest: datetime) -> Refused | None:
    if report.cell_id not in cells:
        return Refused(
            NotFoundError.code, f"{names.cells.name(report.cell_id)} is not registered: ask the operator to create it"
        )
    if report.start_at + report.duration > latest:
        return Refused(InvalidArgumentError.code, "the span ends in the future here: set the observer's clock")
    strangers = sorted({scores.serial for scores in report.scores} - released)
    if strangers:
        return Refused(NotFoundError.code, f"releases/{strangers[0]} was never made here")
    return _contradiction(report)


def _contradiction(report: NewStatistics) -> Refused | None:
    """Return what cannot be true of the counts of a span."""
    if len({scores.serial for scores in report.scores}) < len(report.scores):
        return Refused(InvalidArgumentError.code, "one release is reported twice in one span")
    for scores in report.scores:
        if scores.anomalous_windows + scores.unscored_windows > scores.windows:
            return Refused(InvalidArgumentError.code, "more windows are anomalous or without score than there are")
    return None
