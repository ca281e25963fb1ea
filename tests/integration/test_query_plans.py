"""What the services ask of a database full of segments never reads all of them, and its totals are true."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.spectrogram.bands import FRAME_SECONDS
from benchmarks.generated_fleet import FleetSize, fill
from benchmarks.own_database import own_database
from benchmarks.service_queries import OF_ALL, OF_ONE, SEGMENTS, Ask, Keys, ask_once, choose_keys, plans_of
from coordinator.registry.entities import Purpose, Segment
from coordinator.registry.session import Registry
from coordinator.services.paging import PageRequest
from coordinator.services.training import segments
from tests.integration.conftest import Servers

SIZE = FleetSize(segments=40_000, observers=400, cells=80, bands=40)


@pytest.fixture(scope="module")
def full_database(servers: Servers) -> Iterator[URL]:
    """Give a database of generated rows whose planner knows them."""
    with own_database(servers.postgres_url, keep=False) as url:
        fill(url, SIZE)
        yield url


@pytest.fixture
async def registry(full_database: URL) -> AsyncIterator[Registry]:
    opened = Registry(full_database, connections=2)
    yield opened
    await opened.close()


async def scanned(registry: Registry, ask: Ask, keys: Keys) -> set[str]:
    """Return the tables that are read from one end to the other to answer a question."""
    _, sent = await ask_once(registry, ask, keys)
    plans = await plans_of(registry, sent)
    assert plans
    return set[str]().union(*(plan.scanned for plan in plans))


@pytest.mark.parametrize("question", [*OF_ONE, *OF_ALL])
async def test_no_question_of_the_services_reads_all_segments(registry: Registry, question: str) -> None:
    ask = {**OF_ONE, **OF_ALL}[question]
    for keys in await choose_keys(registry, 2):
        assert SEGMENTS not in await scanned(registry, ask, keys)


async def test_a_question_that_reads_all_segments_is_found_out(registry: Registry) -> None:
    async def ask(session: AsyncSession, _: Keys) -> object:
        return await session.scalar(select(func.sum(Segment.frame_count)))

    (keys,) = await choose_keys(registry, 1)
    assert SEGMENTS in await scanned(registry, ask, keys)


async def counted(session: AsyncSession, **wanted: Any) -> tuple[int, int]:
    """Return how many segments there are, and their frames, one by one."""
    query = select(func.count(), func.coalesce(func.sum(Segment.frame_count), 0))
    count, frames = (await session.execute(query.filter_by(**wanted))).one()
    return count, int(frames)


async def test_totals_of_a_list_are_those_of_its_segments_whatever_was_stored_again_or_removed(
    registry: Registry,
) -> None:
    (keys,) = await choose_keys(registry, 1)
    filters: list[dict[str, Any]] = [
        {},
        {"cell_id": keys.cell_id},
        {"observer_id": keys.observer_id, "purpose": Purpose.TRAINING},
        {"cell_id": keys.cell_id, "observer_id": keys.observer_id, "purpose": Purpose.EVIDENCE},
        {"purpose": Purpose.ROUTINE},
    ]
    every: dict[str, Any] = {"cell_id": None, "observer_id": None, "purpose": None}

    async def look(session: AsyncSession) -> list[int]:
        totals = []
        for wanted in filters:
            _, count, duration = await segments.list_segments(session, PageRequest(), **every | wanted)
            real_count, frames = await counted(session, **wanted)
            assert (count, round(duration.total_seconds() / FRAME_SECONDS)) == (real_count, frames)
            totals.append(count)
        return totals

    before: list[int] = []

    async def change(session: AsyncSession, _: Keys) -> object:
        before.extend(await look(session))
        await OF_ONE["storing eight segments, four of them again"](session, keys)
        after = await look(session)
        assert [now - was for now, was in zip(after, before, strict=True)] == [4, 4, 4, 0, 0]
        await session.execute(delete(Segment).where(Segment.observer_id == keys.observer_id, Segment.sequence > 10**9))
        assert await look(session) == before
        return None

    await ask_once(registry, change, keys)
    assert all(before)
