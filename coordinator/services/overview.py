"""Figures of the whole fleet, as the database has them."""

from datetime import timedelta
from typing import Any, Final

from prometheus_client import Gauge
from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.metrics import Metrics
from coordinator.registry.entities import Observer, Release, ReleaseState, RunState, TrainingRun, Trust
from coordinator.registry.incidents import Delivery, DeliveryState, Incident

_HEARD_WITHIN: Final = timedelta(minutes=3)
_HEARD, _SILENT, _REVOKED = "heard", "silent", "revoked"


async def show(session: AsyncSession, metrics: Metrics) -> None:
    """Set the figures of the fleet to what they are at present."""
    standing = case(
        (Observer.trust == Trust.REVOKED, _REVOKED),
        (Observer.last_sync_at > func.now() - _HEARD_WITHIN, _HEARD),
        else_=_SILENT,
    )
    await _count_by(session, metrics.observers, standing, [_HEARD, _SILENT, _REVOKED])
    await _count_by(session, metrics.runs, TrainingRun.state, [RunState.QUEUED, RunState.RUNNING])
    under_way = [ReleaseState.CANDIDATE, ReleaseState.SHADOW, ReleaseState.CANARY, ReleaseState.ACTIVE]
    await _count_by(session, metrics.releases, Release.state, under_way)
    await _count_by(session, metrics.messages, Delivery.state, [DeliveryState.WAITING, DeliveryState.DEAD])
    going_on = select(func.count()).where(Incident.end_at.is_(None), Incident.self_test_id.is_(None))
    metrics.incidents.set(await session.scalar(going_on) or 0)


async def _count_by(session: AsyncSession, gauge: Gauge, standing: Any, words: list[Any]) -> None:
    """Set a gauge for each of these words to how many rows there are of it, also where there are none."""
    rows = await session.execute(select(standing, func.count()).where(standing.in_(words)).group_by(standing))
    found = {word: int(count) for word, count in rows}
    for word in words:
        gauge.labels(str(word)).set(found.get(word, 0))
