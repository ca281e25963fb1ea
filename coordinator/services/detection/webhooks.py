"""Webhooks: messages of incidents to addresses outside, each tried until it arrives or is dead.

A message is a row that is written in the transaction of what it tells of, so none is lost and none is made up. It may
arrive more than once: its name tells which it is.
"""

import hashlib
import hmac
import json
import random
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from coordinator.registry.incidents import Delivery, DeliveryState, Incident, Severity, Webhook
from coordinator.services.detection import incidents
from coordinator.services.paging import Page, PageRequest, read_page

Happening = Literal["opened", "escalated", "ended"]
_MOST_OBSERVERS: Final = 20
_LONGEST_ERROR: Final = 300


@dataclass(frozen=True)
class RetryRules:
    """How often a message is tried, and how long is waited in between: base, twice the base, ... up to the cap."""

    attempts: int
    base: timedelta
    cap: timedelta

    def wait(self, attempts: int) -> timedelta:
        """Return how long to wait after so many attempts: between half and all of the step, so that a fleet spreads."""
        step: timedelta = min(self.cap, self.base * 2 ** min(attempts - 1, 20))
        return step * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Outgoing:
    """A message that is to be sent now."""

    delivery_id: str
    webhook_id: str
    url: str
    secret: str
    body: str


def signature(secret: str, timestamp: int, body: str) -> str:
    """Return what a receiver compares: HMAC-SHA-256 over the time in seconds, a dot, and the body, as hexadecimal."""
    return hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


async def create(session: AsyncSession, *, webhook_id: str, url: str, severity: Severity | None) -> tuple[Webhook, str]:
    """Register an address and return it with the key of its signatures.

    Raises:
        AlreadyExistsError: A webhook of that name exists.
    """
    if await session.get(Webhook, webhook_id):
        raise AlreadyExistsError(f"{names.webhooks.name(webhook_id)} exists already; choose another identifier")
    webhook = Webhook(id=webhook_id, url=url, severity=severity, secret=secrets.token_urlsafe(32))
    session.add(webhook)
    await session.flush()
    await session.refresh(webhook)
    return webhook, webhook.secret


async def list_webhooks(session: AsyncSession, page: PageRequest) -> Page[Webhook]:
    """List webhooks by name."""
    return await read_page(session, select(Webhook), [Webhook.id], page)


async def delete_webhook(session: AsyncSession, webhook_id: str) -> None:
    """Delete a webhook with its messages.

    Raises:
        NotFoundError: There is none of that name.
    """
    gone = await session.scalar(delete(Webhook).where(Webhook.id == webhook_id).returning(Webhook.id))
    if gone is None:
        raise NotFoundError(f"{names.webhooks.name(webhook_id)} does not exist")


async def tell(session: AsyncSession, incident: Incident, happening: Happening) -> None:
    """Write down that everybody who wants to know is to be told; nobody is of a muted incident or a self-test."""
    if incident.muted or incident.self_test_id is not None:
        return
    hooks = (await session.scalars(select(Webhook).order_by(Webhook.id))).all()
    wanting = [hook for hook in hooks if hook.severity is None or _rank(incident.severity) >= _rank(hook.severity)]
    if not wanting:
        return
    now: datetime = (await session.scalars(select(func.now()))).one()
    observers = (await incidents.observers_of(session, [incident.id]))[incident.id]
    for hook in wanting:
        delivery_id = f"d-{secrets.token_hex(8)}"
        body = _body(delivery_id, incident, observers, happening, now)
        session.add(Delivery(id=delivery_id, webhook_id=hook.id, incident_id=incident.id, body=body))
    await session.flush()


def _body(delivery_id: str, incident: Incident, observers: Sequence[str], happening: Happening, now: datetime) -> str:
    content = {
        "delivery": names.deliveries.name(delivery_id),
        "happening": happening,
        "time": now.isoformat(),
        "incident": {
            "name": names.incidents.name(incident.id),
            "band": names.bands.name(incident.band_id),
            "cell": names.cells.name(incident.cell_id),
            "kind": incident.kind.value,
            "kind_confidence": round(incident.kind_confidence, 3),
            "severity": incident.severity.value,
            "low_hz": incident.low_hz,
            "high_hz": incident.high_hz,
            "start_time": incident.start_at.isoformat(),
            "end_time": incident.end_at.isoformat() if incident.end_at else None,
            "observers": [names.observers.name(observer_id) for observer_id in observers[:_MOST_OBSERVERS]],
            "observer_count": len(observers),
        },
    }
    return json.dumps(content, separators=(",", ":"))


def _rank(severity: Severity) -> int:
    return Severity(severity).rank


async def take_due(
    session: AsyncSession, *, apart_from: Collection[str], limit: int, lease: timedelta
) -> list[Outgoing]:
    """Count an attempt for the oldest message that is due to each webhook, apart from some, and return them.

    Nobody else takes them while the lease lasts.
    """
    is_due = and_(Delivery.state == DeliveryState.WAITING, Delivery.next_at <= func.now())
    oldest = (
        select(Delivery.id)
        .ext(distinct_on(Delivery.webhook_id))
        .where(is_due, Delivery.webhook_id.not_in(apart_from))
        .order_by(Delivery.webhook_id, Delivery.next_at)
    )
    due = select(Delivery.id).where(is_due, Delivery.id.in_(oldest)).limit(limit).with_for_update(skip_locked=True)
    taken = await session.execute(
        update(Delivery)
        .where(Delivery.id.in_(due), Webhook.id == Delivery.webhook_id)
        .values(attempts=Delivery.attempts + 1, next_at=func.now() + lease)
        .returning(Delivery.id, Webhook.id, Webhook.url, Webhook.secret, Delivery.body)
        .execution_options(synchronize_session=False)
    )
    return [Outgoing(*row) for row in taken]


async def settle(session: AsyncSession, delivery_id: str, error: str | None, rules: RetryRules) -> None:
    """Note how an attempt ended: no error means that the message arrived."""
    delivery = await session.get(Delivery, delivery_id, with_for_update=True)
    if delivery is None or delivery.state is not DeliveryState.WAITING:
        return
    delivery.last_error = (error or "")[:_LONGEST_ERROR]
    if error is None:
        delivery.state = DeliveryState.DELIVERED
    elif delivery.attempts >= rules.attempts:
        delivery.state = DeliveryState.DEAD
    else:
        now: datetime = (await session.scalars(select(func.now()))).one()
        delivery.next_at = now + rules.wait(delivery.attempts)


async def list_deliveries(session: AsyncSession, page: PageRequest, *, state: DeliveryState | None) -> Page[Delivery]:
    """List messages, newest first, in one state or in any."""
    query = select(Delivery)
    if state:
        query = query.where(Delivery.state == state)
    return await read_page(session, query, [Delivery.created_at, Delivery.id], page, newest_first=True)


async def retry(session: AsyncSession, delivery_id: str) -> Delivery:
    """Try a dead message again, as often as a new one.

    Raises:
        NotFoundError: There is none of that name.
        FailedPreconditionError: It is not dead.
    """
    delivery = await session.get(Delivery, delivery_id, with_for_update=True)
    if delivery is None:
        raise NotFoundError(f"{names.deliveries.name(delivery_id)} does not exist")
    if delivery.state is not DeliveryState.DEAD:
        raise FailedPreconditionError(
            f"{names.deliveries.name(delivery_id)} is {delivery.state.value}: only dead ones are tried again by hand"
        )
    delivery.state, delivery.attempts = DeliveryState.WAITING, 0
    delivery.next_at = (await session.scalars(select(func.now()))).one()
    await session.flush()
    return delivery
