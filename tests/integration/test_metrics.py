"""What Prometheus reads of a coordinator."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bandwatch.errors import FailedPreconditionError
from bandwatch.wire.v1 import observer_service_pb2
from coordinator import app
from tests.integration.conftest import Coordinator, StartCoordinator, make_network
from tests.integration.honest_segments import upload


async def figures(address: str) -> dict[tuple[str, ...], float]:
    """Return every sample by its name and the values of its labels."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://{address}/metrics")
    answer.raise_for_status()
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


async def test_calls_segments_and_the_fleet_are_counted(
    start_coordinator: StartCoordinator, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "OVERVIEW_S", 0.05)
    address = f"127.0.0.1:{unused_tcp_port}"
    async with start_coordinator(metrics_listen=address) as coordinator:
        network = await make_network(coordinator)
        async with coordinator.observer(network.tokens["roof"]) as service:
            state = observer_service_pb2.ReportedState(agent_version="0.2.0")
            await service.Sync(observer_service_pb2.SyncRequest(state=state))
            sent = [upload(1), upload(1), upload(2, cell="cells/nowhere")]
            async for _ in service.UploadSegments(iter(sent)):
                pass
            watch = service.Watch(observer_service_pb2.WatchRequest())
            await watch.read()
            before = await figures(address)
            watch.cancel()
        async with asyncio.timeout(20):
            while (await figures(address)).get(("bandwatch_observers", "heard")) != 1:
                pass  # each look takes its time
        fleet = await figures(address)
    assert (fleet["bandwatch_observers", "silent"], fleet["bandwatch_open_runs", "queued"]) == (1, 0)
    assert before["bandwatch_call_seconds_count", "Sync", "OK"] == 1
    assert before["bandwatch_open_streams", "Watch"] == 1
    assert before["bandwatch_segments_total", "stored"] == 1
    assert before["bandwatch_segments_total", "already_stored"] == 1
    assert before["bandwatch_segments_total", "not_found"] == 1
    assert before["bandwatch_segment_bytes_total",] == sum(len(request.codes) for request in sent)


async def test_metrics_at_an_address_that_is_taken_are_refused_with_one_sentence(
    start_coordinator: StartCoordinator, coordinator: Coordinator
) -> None:
    with pytest.raises(FailedPreconditionError, match="set another address"):
        async with start_coordinator(metrics_listen=coordinator.address):
            pass
