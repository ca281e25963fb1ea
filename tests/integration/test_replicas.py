"""Two coordinators on one database: what is changed through one is heard through the other."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2
from coordinator.registry.session import Registry
from coordinator.rpc import observers
from tests.integration.conftest import Coordinator, Network, StartCoordinator

if TYPE_CHECKING:
    import grpc.aio

    Watching = grpc.aio.UnaryStreamCall[observer_service_pb2.WatchRequest, observer_service_pb2.WatchResponse]

LISTENERS = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'")
CUT = text("SELECT pg_terminate_backend(:pid)")


@pytest.fixture
async def replica(start_coordinator: StartCoordinator) -> AsyncIterator[Coordinator]:
    async with start_coordinator() as started:
        yield started


@pytest.fixture
async def watch(
    coordinator: Coordinator, network: Network, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator["Watching"]:
    """Watch through the first coordinator, which looks by itself no more once it has told the present revision."""
    monkeypatch.setattr(observers, "RECHECK_S", 3600.0)
    async with coordinator.observer(network.tokens["roof"]) as service:
        call = service.Watch(observer_service_pb2.WatchRequest())
        await call.read()
        yield call
        call.cancel()


async def change(coordinator: Coordinator) -> int:
    """Change what an observer is to be, and return its new revision."""
    async with coordinator.admin() as admin:
        name = "observers/roof"
        observer = (await admin.GetObserver(admin_service_pb2.GetObserverRequest(name=name))).observer
        observer.title += "!"
        request = admin_service_pb2.UpdateObserverRequest(observer=observer)
        return (await admin.UpdateObserver(request)).observer.revision


async def next_revision(watch: "Watching") -> int:
    async with asyncio.timeout(20):
        answer = await watch.read()
    assert isinstance(answer, observer_service_pb2.WatchResponse)
    return answer.revision


async def test_a_change_made_through_one_coordinator_wakes_a_watch_at_the_other(
    replica: Coordinator, watch: "Watching"
) -> None:
    for _ in range(3):
        revision = await change(replica)
        assert await next_revision(watch) == revision


@pytest.mark.fault(
    "the connection cut over which a coordinator hears of the others' changes",
    "it listens again, and wakes its watches",
)
async def test_a_coordinator_whose_listening_connection_is_cut_wakes_its_watches_all_the_same(
    replica: Coordinator, watch: "Watching"
) -> None:
    registry = Registry(replica.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        listeners = (await session.scalars(LISTENERS)).all()
        assert len(listeners) == 2
        for pid in listeners:
            await session.execute(CUT, {"pid": pid})
    await registry.close()
    revision = await change(replica)
    assert await next_revision(watch) == revision
