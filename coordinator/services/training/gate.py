"""The gate: which segments may train, and why the others may not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import FailedPreconditionError
from bandwatch.spectrogram.bands import FRAME_SECONDS, TARGET_FRAMES
from coordinator.registry.entities import Observer, Purpose, Segment, Trust
from coordinator.registry.policies import HealthFinding, ObserverHealth
from coordinator.services.detection import incidents

_MOST_SEGMENTS = 20_000


@dataclass(frozen=True)
class DataRules:
    """Which segments may train, and how much of the newest data a run takes."""

    clipped_share_limit: float
    anomalous_share_limit: float
    clock_error_limit: timedelta
    teacher_data: timedelta
    student_data: timedelta


@dataclass(frozen=True)
class CellData:
    """What is stored of a cell, what of it may train, and how many segments each reason refuses."""

    segments: int
    duration: timedelta
    clean_segments: int
    clean_duration: timedelta
    refusals: dict[str, int]


def _of_observers(trust: Trust) -> ColumnElement[bool]:
    return select(Observer.id).where(Observer.id == Segment.observer_id, Observer.trust == trust).exists()


def _of_faulty_sensor() -> ColumnElement[bool]:
    """Tell whether the observer's sensor was found faulty before the segment ended, and still is."""
    end_at = Segment.start_at + func.make_interval(0, 0, 0, 0, 0, 0, Segment.frame_count * FRAME_SECONDS)
    return (
        select(ObserverHealth.observer_id)
        .where(
            ObserverHealth.observer_id == Segment.observer_id,
            ObserverHealth.finding == HealthFinding.SENSOR_FAULT,
            ObserverHealth.since_at <= end_at,
        )
        .exists()
    )


def refusals(rules: DataRules) -> dict[str, ColumnElement[bool]]:
    """Return why a segment may not train, by reason. What says nothing of its clock is taken at its word.

    What the model in force flagged trains only at the time of an incident that an operator excused.
    """
    scored = Segment.frame_count / float(TARGET_FRAMES)  # windows that predict every frame once
    flagged = Segment.anomalous_windows > rules.anomalous_share_limit * scored
    return {
        "not uploaded for training": Segment.purpose != Purpose.TRAINING,
        "of an observer on probation": _of_observers(Trust.PROBATION),
        "of a revoked observer": _of_observers(Trust.REVOKED),
        "of a faulty sensor": _of_faulty_sensor(),
        "lost samples": Segment.lost_samples > 0,
        "clipped": Segment.clipped_share > rules.clipped_share_limit,
        "with a change of gain": Segment.gain_changed.is_(True),
        "with an uncertain clock": and_(
            Segment.clock_error.is_not(None), Segment.clock_error > rules.clock_error_limit
        ),
        "noise only": Segment.noise_only.is_(True),
        "with a self-test in them": Segment.self_test_id.is_not(None),
        "flagged as anomalous": and_(flagged, ~incidents.excused_by_verdict()),
        "at the time of an incident that is not excused": incidents.overlapping_incident(),
    }


def _clean(cell_ids: Sequence[str], rules: DataRules) -> ColumnElement[bool]:
    return and_(Segment.cell_id.in_(cell_ids), ~or_(*refusals(rules).values()))


async def choose(
    session: AsyncSession, cell_ids: Sequence[str], rules: DataRules, limit: timedelta
) -> Sequence[Segment]:
    """Return the newest segments of cells that may train, as many as cover a time, in the order of their start.

    Raises:
        FailedPreconditionError: There is none.
    """
    clean = _clean(cell_ids, rules)
    newest = await session.scalars(select(Segment).where(clean).order_by(Segment.start_at.desc()).limit(_MOST_SEGMENTS))
    chosen: list[Segment] = []
    left = limit.total_seconds() / FRAME_SECONDS
    for segment in newest:
        if left <= 0:
            break
        chosen.append(segment)
        left -= segment.frame_count
    if not chosen:
        raise FailedPreconditionError(await _why_nothing_trains(session, cell_ids, rules))
    return sorted(chosen, key=lambda s: (s.start_at, s.observer_id, s.sequence))


async def clean_duration(session: AsyncSession, cell_id: str, rules: DataRules, since: datetime | None) -> timedelta:
    """Return how much of a cell may train, of all or of what began after a moment."""
    wanted = _clean([cell_id], rules)
    if since is not None:
        wanted = and_(wanted, Segment.start_at > since)
    return _duration(await session.scalar(select(func.sum(Segment.frame_count)).where(wanted)))


async def sum_up(session: AsyncSession, cell_ids: Sequence[str], rules: DataRules) -> CellData:
    """Count what is stored of cells, what of it may train, and what each reason refuses."""
    reasons = refusals(rules)
    clean = ~or_(*reasons.values())
    count, frames = func.count(), func.sum(Segment.frame_count)
    row = (
        await session.execute(
            select(
                count,
                frames,
                count.filter(clean),
                frames.filter(clean),
                *(count.filter(refusal) for refusal in reasons.values()),
            ).where(Segment.cell_id.in_(cell_ids))
        )
    ).one()
    counted = {reason: int(number) for reason, number in zip(reasons, row[4:], strict=True) if number}
    return CellData(row[0], _duration(row[1]), row[2], _duration(row[3]), counted)


def _duration(frames: int | None) -> timedelta:
    return timedelta(seconds=int(frames or 0) * FRAME_SECONDS)


async def _why_nothing_trains(session: AsyncSession, cell_ids: Sequence[str], rules: DataRules) -> str:
    data = await sum_up(session, cell_ids, rules)
    places = ", ".join(names.cells.name(cell_id) for cell_id in cell_ids) or "the band, which has no cells"
    reasons = ", ".join(f"{count} {reason}" for reason, count in data.refusals.items())
    return (
        f"no segment of {places} may train ({data.segments} stored{': ' + reasons if reasons else ''}); "
        "let trusted observers of the cell upload clean data first"
    )
