"""Observers whose disk was copied: set back to an older image, or run twice at the same time."""

import asyncio
import shutil
from pathlib import Path

import pytest

from bandwatch.identity.identity_files import Identity
from bandwatch.wire.v1 import admin_service_pb2
from observer_agent.spool.store import Spool
from tests.fault_table import RecordProperty
from tests.fleet.deliveries import delivering, fill, open_spool
from tests.integration.conftest import Coordinator, Network


async def deliver(spool: Spool, identity: Identity, folder: Path) -> None:
    async with delivering(spool, identity, folder) as delivery, asyncio.timeout(60):
        await delivery.wait_until_delivered()
    assert (spool.totals.refused, spool.totals.held) == (0, 0)


async def stored(coordinator: Coordinator) -> set[str]:
    """Return the digests of the codes that are stored."""
    async with coordinator.admin() as admin:
        listed = await admin.ListSegments(admin_service_pb2.ListSegmentsRequest(page_size=1000))
    digests = {segment.codes_digest for segment in listed.segments}
    assert len(digests) == len(listed.segments)
    return digests


@pytest.mark.fault(
    "an observer set back to an older image of its disk",
    "no number means two things: what it makes then is stored beside what was stored before",
)
@pytest.mark.fleet
async def test_an_observer_that_was_set_back_to_an_older_image_uses_no_number_again(
    coordinator: Coordinator, network: Network, tmp_path: Path, record_property: RecordProperty
) -> None:
    spool = open_spool(tmp_path / "spool")
    fill(spool, range(5))
    spool.close()
    shutil.copytree(tmp_path / "spool", tmp_path / "image")
    for folder, seeds in (("spool", range(5, 10)), ("image", range(10, 15))):
        spool = open_spool(tmp_path / folder)
        fill(spool, seeds)
        await deliver(spool, network.tokens["roof"], tmp_path)
        spool.close()
    # The image held the first five as well: they come again under their own numbers and are known.
    assert len(await stored(coordinator)) == 15
    record_property("segments", 15)


@pytest.mark.fault(
    "two agents that run at the same time from copies of one disk",
    "what both make is stored, and neither is taken for the other",
)
@pytest.mark.fleet
async def test_two_agents_from_copies_of_one_disk_are_both_heard(
    coordinator: Coordinator, network: Network, tmp_path: Path, record_property: RecordProperty
) -> None:
    open_spool(tmp_path / "one").close()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    spools = [open_spool(tmp_path / name) for name in ("one", "two")]
    for number, spool in enumerate(spools):
        fill(spool, range(5 * number, 5 * number + 5))
    await asyncio.gather(*(deliver(spool, network.tokens["roof"], tmp_path) for spool in spools))
    assert len(await stored(coordinator)) == 10
    record_property("segments", 10)
