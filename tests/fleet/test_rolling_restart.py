"""Two coordinators behind one address, each stopped and started again in its turn while fifty observers upload."""

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.identity.identity_files import Identity
from bandwatch.wire.v1 import admin_service_pb2, spectrum_pb2
from observer_agent.agent.delivery import Delivery
from observer_agent.spool.store import Spool
from tests.fault_table import RecordProperty
from tests.fleet.bad_links import BadLink
from tests.fleet.coordinators import Addresses, free_addresses, serving
from tests.fleet.deliveries import FRAMES, delivering, fill, open_spool
from tests.integration.conftest import Coordinator, StartCoordinator, make_network

OBSERVERS: Final = 50
EVERY_S: Final = 2.0
"""Each observer makes a segment so often."""
PATIENCE_S: Final = 120


class Uploading:
    """One observer that makes segments and delivers them."""

    def __init__(self, spool: Spool, delivery: Delivery) -> None:
        self.spool = spool
        self.delivery = delivery
        self.longest_pause_s = 0.0
        """The longest time for which nothing was acknowledged although something waited."""
        self._acknowledged = 0
        self._since_s = time.monotonic()

    def make_one(self) -> None:
        """Hear the radio of one segment."""
        made = self.spool.totals.made
        fill(self.spool, range(made, made + 1))
        self.delivery.wake()

    def look(self) -> None:
        """Note how long this observer has waited."""
        totals, now_s = self.spool.totals, time.monotonic()
        if totals.acknowledged > self._acknowledged or not totals.held:
            self._acknowledged, self._since_s = totals.acknowledged, now_s
        self.longest_pause_s = max(self.longest_pause_s, now_s - self._since_s)


class Group:
    """All observers, which hear without a pause."""

    def __init__(self, observers: list[Uploading]) -> None:
        self.observers = observers
        self._heard = asyncio.Event()

    async def hear(self) -> None:
        """Make segments, evenly spread over the observers and the time, until cancelled."""
        while True:
            for observer in self.observers:
                observer.make_one()
                await asyncio.sleep(EVERY_S / len(self.observers))
                for each in self.observers:
                    each.look()
                self._heard.set()

    async def until_all_were_heard(self) -> None:
        """Wait until something more was acknowledged to each observer."""
        before = [observer.spool.totals.acknowledged for observer in self.observers]
        async with asyncio.timeout(PATIENCE_S):
            for observer, known in zip(self.observers, before, strict=True):
                while observer.spool.totals.acknowledged == known:
                    self._heard.clear()
                    await self._heard.wait()

    async def until_delivered(self) -> None:
        """Wait until nothing waits any more."""
        async with asyncio.timeout(PATIENCE_S):
            for observer in self.observers:
                await observer.delivery.wait_until_delivered()


async def enrolled(coordinator: Coordinator) -> list[Identity]:
    """Register the observers, all in cell oak."""
    identities = []
    async with coordinator.admin() as admin:
        for number in range(OBSERVERS):
            wanted = admin_service_pb2.Observer(cell="cells/oak", mobility=spectrum_pb2.MOBILITY_STATIC)
            request = admin_service_pb2.CreateObserverRequest(observer_id=f"o{number}", observer=wanted)
            identities.append(await coordinator.enroll((await admin.CreateObserver(request)).join_token))
    return identities


async def started(coordinator: Coordinator, addresses: Addresses, log: Path) -> ExitStack:
    """Start a coordinator, and return what stops it, as a service manager does."""
    running = ExitStack()
    await asyncio.to_thread(running.enter_context, serving(coordinator.settings, addresses, log))
    return running


async def stored(coordinator: Coordinator) -> dict[str, list[int]]:
    """Return the numbers of the segments that are stored whole, by observer."""
    found: dict[str, list[int]] = {f"observers/o{number}": [] for number in range(OBSERVERS)}
    blobs = BlobStore(coordinator.settings.blob_dir / "segments")
    request = admin_service_pb2.ListSegmentsRequest(page_size=1000)
    async with coordinator.admin() as admin:
        while True:
            page = await admin.ListSegments(request)
            for segment in page.segments:
                assert len(blobs.read(segment.codes_digest)) == 128 * FRAMES
                found[segment.observer].append(segment.origin.sequence)
            request.page_token = page.next_page_token
            if not request.page_token:
                return found


@pytest.mark.fault(
    "each of two coordinators stopped and started again while fifty observers upload",
    "nothing is lost, nothing is stored twice",
)
@pytest.mark.fleet
async def test_a_rolling_restart_under_load_loses_and_doubles_nothing(
    start_coordinator: StartCoordinator, tmp_path: Path, record_property: RecordProperty
) -> None:
    async with start_coordinator() as coordinator:
        await make_network(coordinator)
        identities = await enrolled(coordinator)
    places = [free_addresses(), free_addresses()]
    async with AsyncExitStack() as stack:
        running = [await started(coordinator, place, tmp_path / "log") for place in places]
        for one in running:
            stack.push_async_callback(asyncio.to_thread, one.close)
        link = await stack.enter_async_context(BadLink(0, *(place.members for place in places)).listening())
        group = Group([])
        for number, identity in enumerate(identities):
            spool = open_spool(tmp_path / f"spool-{number}")
            delivery = await stack.enter_async_context(
                delivering(spool, replace(identity, address=link.address), tmp_path)
            )
            group.observers.append(Uploading(spool, delivery))
        hearing = asyncio.create_task(group.hear())
        await group.until_all_were_heard()
        for one, place in zip(running, places, strict=True):
            await asyncio.to_thread(one.close)
            await group.until_all_were_heard()
            one.push((await started(coordinator, place, tmp_path / "log")).__exit__)
            await group.until_all_were_heard()
        hearing.cancel()
        await group.until_delivered()
    async with start_coordinator() as coordinator:
        found = await stored(coordinator)
    for number, observer in enumerate(group.observers):
        assert sorted(found[f"observers/o{number}"]) == list(range(1, observer.spool.totals.made + 1))
    pauses_s = sorted(observer.longest_pause_s for observer in group.observers)
    count = sum(map(len, found.values()))
    record_property("segments", count)
    print(f"{count} segments; longest pause {pauses_s[-1]:.1f} s, in the middle {pauses_s[OBSERVERS // 2]:.1f} s")  # noqa: T201
