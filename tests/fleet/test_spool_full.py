"""A full spool lets routine go first, then training, evidence last; every segment is accounted for."""

import asyncio
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from bandwatch.wire.v1 import admin_service_pb2, spectrum_pb2
from observer_agent.agent.delivery import Delivery
from observer_agent.agent.retry import keep_doing
from observer_agent.settings import AgentSettings
from observer_agent.spool.records import LANE_OF, Purpose
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from tests.fault_table import RecordProperty
from tests.fleet.conftest import ItemResult
from tests.integration.conftest import Coordinator, Network
from tests.unit.observer_agent.spooled import make_segment

SIZE: Final = 16_000
ROOM: Final = 10
"""Segments that fit into the spool."""
TRIES: Final = 20
PURPOSES: Final = (Purpose.EVIDENCE, Purpose.TRAINING, Purpose.ROUTINE)


def to_be_kept(made: list[tuple[int, Purpose]]) -> set[int]:
    """Return which numbers a full spool keeps: the most important lanes, and of the last of them the newest."""
    return {number for number, _ in sorted(made, key=lambda item: (LANE_OF[item[1]], -item[0]))[:ROOM]}


def fill(spool: Spool, seed: int) -> list[tuple[int, Purpose]]:
    """Put segments of all purposes in any order, more than fit, and return the number and purpose of each."""
    random = np.random.default_rng(seed)
    made = []
    for place in range(3 * ROOM):
        purpose = PURPOSES[random.integers(3)]
        record, codes = make_segment(seed * 1000 + place, purpose=purpose, cell="cells/oak")
        made.append((spool.put_segment(record, codes).sequence, purpose))
    return made


@pytest.mark.fault(
    "an observer's spool full for longer than it can hold",
    "routine goes first, evidence last; stored and counted as evicted are all that was made",
)
@pytest.mark.fleet
async def test_a_full_spool_keeps_evidence_longest_and_stored_and_evicted_are_all_that_was_made(
    coordinator: Coordinator, network: Network, tmp_path: Path, item_result: ItemResult, record_property: RecordProperty
) -> None:
    stored_in_all = 0
    for seed in range(TRIES):
        spool = Spool(tmp_path / f"spool-{seed}", limit_bytes=ROOM * SIZE, quarantine_limit_bytes=0)
        made = fill(spool, seed)
        totals = spool.totals
        assert (totals.made, totals.held, totals.evicted) == (3 * ROOM, ROOM, 2 * ROOM)
        boot_id = totals.boot_id
        await deliver(network, spool, tmp_path)
        totals = spool.totals
        assert (totals.acknowledged, totals.refused, totals.damaged) == (ROOM, 0, 0)
        spool.close()
        kept = to_be_kept(made)
        assert await stored(coordinator, boot_id) == kept
        stored_in_all += len(kept)
    record_property("seed", f"0 to {TRIES - 1}")
    record_property("segments", stored_in_all)
    item_result(
        5,
        tried=f"a spool with room for {ROOM} of {3 * ROOM} segments in any order: routine went first, then training, "
        f"evidence last; {stored_in_all} stored and the rest counted as evicted",
        how_often=TRIES,
        lost="nothing that was not counted",
    )


async def deliver(network: Network, spool: Spool, folder: Path) -> None:
    """Let the agent's own code bring what the spool holds to the coordinator."""
    (folder / "unused.json").write_text("{}")
    settings = AgentSettings.from_options({"data_dir": folder / "data", "simulate": folder / "unused.json"})
    async with Uplink(settings, network.tokens["roof"]) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(1 << 20)
        task = asyncio.create_task(keep_doing("upload", delivery.upload, settings))
        delivery.wake()
        async with asyncio.timeout(30):
            await delivery.wait_until_delivered()
        task.cancel()


async def stored(coordinator: Coordinator, boot_id: str) -> set[int]:
    async with coordinator.admin() as admin:
        request = admin_service_pb2.ListSegmentsRequest(observer="observers/roof", page_size=1000)
        segments = (await admin.ListSegments(request)).segments
    assert all(segment.purpose != spectrum_pb2.PURPOSE_UNSPECIFIED for segment in segments)
    return {segment.origin.sequence for segment in segments if segment.origin.boot_id == boot_id}
