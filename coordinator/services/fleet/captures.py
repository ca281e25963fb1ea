"""Orders to observers for data beyond their training target."""

import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.entities import Observer
from coordinator.registry.policies import CaptureOrder

LIFETIME: Final = timedelta(hours=1)
"""An order that was not carried out by then is forgotten, and given anew where data is still short."""


async def in_force(session: AsyncSession, observer_id: str, cell_id: str) -> CaptureOrder | None:
    """Return the order that an observer is to carry out in a cell, if there is one."""
    return await session.scalar(
        select(CaptureOrder)
        .where(
            CaptureOrder.observer_id == observer_id,
            CaptureOrder.cell_id == cell_id,
            CaptureOrder.expires_at > func.now(),
        )
        .order_by(CaptureOrder.created_at.desc())
        .limit(1)
    )


async def order(session: AsyncSession, *, observer_id: str, cell_id: str, policy_id: str, duration: timedelta) -> None:
    """Ask an observer for so much more of a cell."""
    expires_at = await session.scalar(select(func.now() + LIFETIME))
    session.add(
        CaptureOrder(
            id=f"c-{secrets.token_hex(8)}",
            observer_id=observer_id,
            cell_id=cell_id,
            policy_id=policy_id,
            duration=duration,
            expires_at=expires_at,
        )
    )
    await session.execute(update(Observer).where(Observer.id == observer_id).values(revision=Observer.revision + 1))
