"""A fleet that comes at once: after a restart of the coordinator every agent connects in the same moment."""

import asyncio

from bandwatch.wire.channel import member_credentials, open_channel
from bandwatch.wire.v1.observer_service_pb2 import ReportedState, SyncRequest
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from tests.integration.conftest import Coordinator, Network

AT_ONCE = 150


async def test_all_are_served_that_connect_in_the_same_moment(coordinator: Coordinator, network: Network) -> None:
    async def sync() -> str:
        credentials = member_credentials(network.tokens["roof"])  # each its own, or they would share a connection
        async with open_channel(coordinator.member_address, credentials) as channel:
            answer = await ObserverServiceStub(channel).Sync(SyncRequest(state=ReportedState()))
        return answer.desired.cell.name

    for _ in range(3):
        assert await asyncio.gather(*(sync() for _ in range(AT_ONCE))) == ["cells/oak"] * AT_ONCE
