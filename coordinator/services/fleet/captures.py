"""Orders to observers for data beyond their training target."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Text, and_, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.entities import Observer
from coordinator.registry.policies import CaptureOrder

LIFETIME: Final = timedelta(hours=1)
"""An order that was not carried out by then is forgotten, and given anew where data is still short."""


_IN_FORCE: Final = (
    select(CaptureOrder)
    .join(Observer, and_(Observer.id == CaptureOrder.observer_id, Observer.cell_id == CaptureOrder.cell_id))
    .where(
        CaptureOrder.observer_id == any_(bindparam("observers", type_=ARRAY(Text))),
        CaptureOrder.expires_at > func.now(),
    )
    .order_by(CaptureOrder.created_at)
)


async def in_force(session: AsyncSession, observer_ids: Sequence[str]) -> dict[str, CaptureOrder]:
    """Return the order that each observer is to carry out in its cell, by its name, of those that have one."""
    found = await session.scalars(_IN_FORCE, {"observers": observer_ids})
    return {order.observer_id: order for order in found}  # the newest one stays


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
