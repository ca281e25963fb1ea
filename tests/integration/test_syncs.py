"""Many agents call Sync at once: each hears of itself, and none waits for a change of another."""

import asyncio

import pytest
from sqlalchemy import text

from bandwatch.wire.v1.observer_service_pb2 import ReportedState, SyncRequest, SyncResponse
from coordinator.registry.session import Registry
from tests.integration.conftest import Coordinator, Network

BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0")
REPORTED = text("SELECT id, reported ->> 'agent_version' FROM observers ORDER BY id")


async def sync(coordinator: Coordinator, network: Network, name: str, version: str = "") -> SyncResponse:
    async with coordinator.observer(network.tokens[name]) as service:
        return await service.Sync(SyncRequest(state=ReportedState(agent_version=version)))


@pytest.fixture
def registry(coordinator: Coordinator) -> Registry:
    return Registry(coordinator.settings.sqlalchemy_url(), connections=2)


async def test_agents_that_call_together_hear_each_of_its_own_cell_and_are_written_down_as_themselves(
    coordinator: Coordinator, network: Network, registry: Registry
) -> None:
    names = ["roof", "van"] * 20
    answers = await asyncio.gather(*(sync(coordinator, network, name, f"{name} speaking") for name in names))
    cells = {"roof": "cells/oak", "van": "cells/elm"}
    assert [answer.desired.cell.name for answer in answers] == [cells[name] for name in names]
    async with registry.transaction() as session:
        rows = [tuple(row) for row in await session.execute(REPORTED)]
    assert rows == [("roof", "roof speaking"), ("van", "van speaking")]
    await registry.close()


async def test_an_agent_does_not_wait_for_a_change_of_another(
    coordinator: Coordinator, network: Network, registry: Registry
) -> None:
    async with registry.transaction() as holding:
        await holding.execute(text("SELECT id FROM observers WHERE id = 'roof' FOR UPDATE"))
        waiting = asyncio.ensure_future(sync(coordinator, network, "roof", "late"))
        async with asyncio.timeout(20), registry.transaction() as looking:
            while not await looking.scalar(BLOCKED):  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.01)
        answers = await asyncio.gather(*(sync(coordinator, network, "van", "soon") for _ in range(5)))
        assert {answer.desired.cell.name for answer in answers} == {"cells/elm"}
        assert not waiting.done()
    assert (await waiting).desired.cell.name == "cells/oak"
    await registry.close()
