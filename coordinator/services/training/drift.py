"""Whether what a model in force says of its cell is still what it was calibrated for."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.rollouts import ScoreReport, StatisticsReport

SPAN: Final = timedelta(hours=1)
_LEAST_WINDOWS: Final = 1000
_ERROR_MARGIN_DB: Final = 0.5
_TIMES_FALSE_ALARMS: Final = 5.0
_LEAST_ANOMALOUS_SHARE: Final = 0.05


async def drift_of(session: AsyncSession, cell_id: str, serial: int, usual_db: float, faulty: Collection[str]) -> str:
    """Return how the release in force drifted in a cell, for people; empty where it did not, or too little was said."""
    s, r = ScoreReport, StatisticsReport
    windows, flagged, error_sum_db, rate = (
        await session.execute(
            select(
                func.sum(s.windows),
                func.sum(s.anomalous_windows),
                func.sum(s.error_sum_db),
                func.max(s.false_alarm_rate),
            )
            .join(r, and_(r.observer_id == s.observer_id, r.boot_id == s.boot_id, r.sequence == s.sequence))
            .where(
                s.serial == serial,
                ~s.shadow,
                r.cell_id == cell_id,
                r.end_at > func.now() - SPAN,
                r.observer_id.not_in(faulty),
            )
        )
    ).one()
    return describe_drift(
        int(windows or 0), int(flagged or 0), float(error_sum_db or 0.0), float(rate or 0.0), usual_db
    )


def describe_drift(windows: int, flagged: int, error_sum_db: float, rate: float, usual_db: float) -> str:
    """Return how far the windows of a span are from what a model was calibrated for; empty where not far."""
    if windows < _LEAST_WINDOWS:
        return ""
    mean_db, share = error_sum_db / windows, flagged / windows
    signs = []
    if mean_db > usual_db + _ERROR_MARGIN_DB:
        signs.append(f"error {mean_db:.2f} dB, calibrated at {usual_db:.2f}")
    if share > max(_LEAST_ANOMALOUS_SHARE, _TIMES_FALSE_ALARMS * rate):
        signs.append(f"{share:.1%} of windows flagged, allowed {rate:.1%}")
    return ", ".join(signs)
