"""An observer behind a bad link: late, slow, cut off, half open. What it made arrives, each thing once."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.identity.identity_files import Identity
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2
from observer_agent.spool.records import Origin
from observer_agent.spool.store import Spool
from tests.fault_table import RecordProperty
from tests.fleet.bad_links import FAIR, BadLink, Weather
from tests.fleet.deliveries import FRAMES, delivering, fill, open_spool
from tests.integration.conftest import Coordinator, Network

SEGMENTS: Final = 24
SEEDS: Final = (1, 2, 3)
RECOVERY_S: Final = 150
"""A silent connection is given up after 80 s at the latest, by keep-alive."""


def bad(what: str) -> pytest.MarkDecorator:
    """Return the mark of a link that only costs time."""
    return pytest.mark.fault(f"a bad uplink: {what}", "what was made arrives, each segment once")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """Give a spool with segments of cell oak in it."""
    spool = open_spool(tmp_path / "spool")
    fill(spool, range(SEGMENTS))
    return spool


def at(identity: Identity, link: BadLink) -> Identity:
    """Return the same observer behind a link."""
    return replace(identity, address=link.address)


async def stored_once(coordinator: Coordinator, spool: Spool) -> int:
    """Compare what was made with what is stored, and return how many segments there are."""
    async with coordinator.admin() as admin:
        listed = await admin.ListSegments(admin_service_pb2.ListSegmentsRequest(page_size=1000))
    origins = [Origin(segment.origin.boot_id, segment.origin.sequence) for segment in listed.segments]
    assert sorted(origin.sequence for origin in origins) == list(range(1, SEGMENTS + 1))
    blobs = BlobStore(coordinator.settings.blob_dir / "segments")
    assert all(len(blobs.read(segment.codes_digest)) == 128 * FRAMES for segment in listed.segments)
    totals = spool.totals
    assert (totals.acknowledged, totals.refused, totals.evicted, totals.held) == (SEGMENTS, 0, 0, 0)
    return len(origins)


@pytest.mark.fleet
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(Weather(delay_s=0.1), marks=bad("every piece 100 ms late"), id="late"),
        pytest.param(Weather(stalled=0.05, stall_s=0.4), marks=bad("one piece in twenty sent again"), id="lossy"),
        pytest.param(Weather(0.05, 150_000, 0.05, 0.3), marks=bad("1.2 Mbit/s, late and lossy"), id="cellular"),
    ],
)
async def test_a_slow_or_lossy_link_costs_nothing_but_time(
    coordinator: Coordinator,
    network: Network,
    spool: Spool,
    tmp_path: Path,
    record_property: RecordProperty,
    weather: Weather,
    seed: int,
) -> None:
    async with BadLink(seed, coordinator.member_address).listening() as link:
        link.become(weather)
        async with delivering(spool, at(network.tokens["roof"], link), tmp_path) as delivery:
            async with asyncio.timeout(RECOVERY_S):
                await delivery.wait_until_delivered()
    record_property("segments", await stored_once(coordinator, spool))


@pytest.mark.fault(
    "connections of an observer reset again and again, at random bytes",
    "what it made arrives, each segment once",
)
@pytest.mark.fleet
@pytest.mark.parametrize("seed", SEEDS)
async def test_connections_that_are_reset_again_and_again_lose_and_double_nothing(
    coordinator: Coordinator, network: Network, spool: Spool, tmp_path: Path, record_property: RecordProperty, seed: int
) -> None:
    async with BadLink(seed, coordinator.member_address).listening() as link:
        link.become(Weather(cut_after=(5_000, 400_000)))
        async with delivering(spool, at(network.tokens["roof"], link), tmp_path) as delivery:
            async with asyncio.timeout(RECOVERY_S):
                await link.until(lambda: link.cuts >= 5)
                link.become(FAIR)
                await delivery.wait_until_delivered()
    record_property("segments", await stored_once(coordinator, spool))


@pytest.mark.fault(
    "a connection that stands, and on which nothing passes any more",
    "it is given up, and all arrives over another, each segment once",
)
@pytest.mark.fleet
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_connection_that_is_half_open_is_given_up_and_all_arrives_over_another(
    coordinator: Coordinator, network: Network, spool: Spool, tmp_path: Path, record_property: RecordProperty, seed: int
) -> None:
    async with BadLink(seed, coordinator.member_address).listening() as link:
        link.become(Weather(silent_after=(20_000, 800_000)))
        async with delivering(spool, at(network.tokens["roof"], link), tmp_path) as delivery:
            async with asyncio.timeout(RECOVERY_S):
                await link.until(lambda: link.silenced >= 1)
                link.become(FAIR)
                await delivery.wait_until_delivered()
        assert link.connections > 1
    record_property("segments", await stored_once(coordinator, spool))


@pytest.mark.fault(
    "a link of one byte a second",
    "other observers are served, and all arrives once the link is better",
)
@pytest.mark.fleet
async def test_a_link_of_one_byte_a_second_holds_up_neither_this_observer_for_good_nor_another(
    coordinator: Coordinator, network: Network, spool: Spool, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with BadLink(0, coordinator.member_address).listening() as link:
        link.become(Weather(bytes_per_s=1))
        async with delivering(spool, at(network.tokens["roof"], link), tmp_path) as delivery:
            await link.until(lambda: link.connections > 0)
            async with coordinator.observer(network.tokens["van"]) as other:
                for _ in range(20):
                    await other.Sync(_sync_request())
            assert spool.totals.acknowledged == 0
            link.become(FAIR)
            async with asyncio.timeout(RECOVERY_S):
                await delivery.wait_until_delivered()
    record_property("segments", await stored_once(coordinator, spool))


def _sync_request() -> observer_service_pb2.SyncRequest:
    return observer_service_pb2.SyncRequest(state=observer_service_pb2.ReportedState(agent_version="0.2.0"))
