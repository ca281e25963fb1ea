"""Self-tests: an agent mixes a known anomaly into its own stream, and the way to the incident is timed."""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Text, any_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import FailedPreconditionError, NotFoundError
from coordinator.registry.entities import Observer
from coordinator.registry.incidents import Event, Incident, SelfTest

LIFETIME: Final = timedelta(minutes=10)
"""An agent that hears of the order later than this leaves it."""


_ORDERED: Final = (
    select(SelfTest)
    .where(
        SelfTest.observer_id == any_(bindparam("observers", type_=ARRAY(Text))),
        SelfTest.event_at.is_(None),
        SelfTest.expires_at > func.now(),
    )
    .order_by(SelfTest.created_at)
)


async def create(session: AsyncSession, observer_id: str) -> SelfTest:
    """Order a self-test from an observer, one at a time.

    Raises:
        NotFoundError: There is no such observer.
        FailedPreconditionError: Another self-test of it has not come to an end.
    """
    observer = await session.get(Observer, observer_id, with_for_update=True)
    if observer is None:
        raise NotFoundError(f"{names.observers.name(observer_id)} is not registered; create it first")
    before = await ordered_from(session, observer_id)
    if before is not None:
        raise FailedPreconditionError(
            f"{names.self_tests.name(before.id)} of this observer is under way: wait until it has ended or expired"
        )
    test = SelfTest(
        id=f"t-{secrets.token_hex(8)}",
        observer_id=observer_id,
        expires_at=(await session.scalars(select(func.now()))).one() + LIFETIME,
    )
    session.add(test)
    observer.revision += 1
    await session.flush()
    await session.refresh(test)
    return test


async def get(session: AsyncSession, self_test_id: str) -> SelfTest:
    """Read a self-test.

    Raises:
        NotFoundError: There is none of that name.
    """
    test = await session.get(SelfTest, self_test_id)
    if test is None:
        raise NotFoundError(f"{names.self_tests.name(self_test_id)} was never ordered")
    return test


async def ordered_from(session: AsyncSession, observer_id: str) -> SelfTest | None:
    """Return the self-test that an observer is to carry out: not expired, and no event of it reported yet."""
    return (await ordered_from_each(session, [observer_id])).get(observer_id)


async def ordered_from_each(session: AsyncSession, observer_ids: Sequence[str]) -> dict[str, SelfTest]:
    """Return the same for many observers, by their names, of those that have one."""
    found = await session.scalars(_ORDERED, {"observers": observer_ids})
    return {test.observer_id: test for test in found}  # the newest one stays


async def note_event(session: AsyncSession, event: Event) -> None:
    """Note when the first event of a self-test came in, and when the anomaly began by the observer's clock."""
    if event.self_test_id is not None:
        await session.execute(
            update(SelfTest)
            .where(SelfTest.id == event.self_test_id, SelfTest.event_at.is_(None))
            .values(event_at=func.clock_timestamp(), start_at=event.start_at)
        )


async def note_incident(session: AsyncSession, incident: Incident) -> None:
    """Note when an incident was made of the events of a self-test."""
    if incident.self_test_id is not None:
        await session.execute(
            update(SelfTest)
            .where(SelfTest.id == incident.self_test_id, SelfTest.incident_at.is_(None))
            .values(incident_at=func.clock_timestamp(), incident_id=incident.id)
        )
