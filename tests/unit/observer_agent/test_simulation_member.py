"""One observer of a simulated fleet: a real agent on simulated radio, and what its witness saw."""

import asyncio
from pathlib import Path

import pytest

from bandwatch.identity.identity_files import save_identity
from observer_agent.simulation.links import LinkFaults
from observer_agent.simulation.member import Member, settings_of
from observer_agent.simulation.radio import SharedRadio
from observer_agent.simulation.witness import Fate
from tests.unit.observer_agent.conftest import CELL
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.simulated_town import observer, radio
from tests.unit.observer_agent.tiny_models import Publisher
from tests.unit.trusted_server import member as identity_of

NO_CUTS = LinkFaults(cut_s=0.0, every_s=0.0, seed=0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANDWATCH_AGENT_RETRY_BASE_S", "0.01")
    monkeypatch.setenv("BANDWATCH_AGENT_RETRY_CAP_S", "0.05")


class Simulated:
    """A member with an identity that the coordinator of the test knows, and the task that it runs in."""

    def __init__(
        self, root: Path, coordinator: FakeCoordinator, repository: ReleaseRepository, shared: SharedRadio
    ) -> None:
        self.identity = identity_of("observers/roof", f"127.0.0.1:{coordinator.port}", release_root=repository.pinned)
        save_identity(root / "roof" / "identity", self.identity)
        (root / "town.toml").touch()
        self.member = Member(observer("roof"), settings_of(root / "roof", root / "town.toml"), shared, 0.0)

    def start(self, faults: LinkFaults = NO_CUTS) -> "asyncio.Task[None]":
        """Run it."""
        return asyncio.create_task(self.member.run(self.identity, faults))


@pytest.fixture
def simulated(tmp_path: Path, coordinator: FakeCoordinator, repository: ReleaseRepository) -> Simulated:
    return Simulated(tmp_path, coordinator, repository, radio(0.1, 0.3))


async def test_what_is_made_is_delivered_when_the_radio_ends_and_the_account_says_what_the_coordinator_holds(
    coordinator: FakeCoordinator, publisher: Publisher, simulated: Simulated
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3)), training_target_s=100.0)
    coordinator.refuse = lambda segment: segment.origin.sequence == 1
    running = simulated.start()
    await coordinator.until(lambda: len(coordinator.segments) >= 2)
    coordinator.assign(publisher.seal(publisher.manifest(4)))
    await coordinator.changed()
    await coordinator.until(lambda: any(report.running_serial == 4 for report in coordinator.reports))
    simulated.member.end()
    async with asyncio.timeout(20):
        await running
    found = simulated.member.account()
    numbers = {
        (each.boot_id, number)
        for each in found.segments.numbers[Fate.ACKNOWLEDGED]
        for number in range(each.first, each.last + 1)
    }
    assert numbers == set(coordinator.segments)
    assert found.segments.made == len(coordinator.segments) + 1
    assert found.segments.refused == 1
    assert found.segments.refusals[0].endswith("the test does not like it")
    assert [model.serial for model in found.models if model.serial] == [3, 4]
    assert [span.cell for span in found.cells] == [CELL]
    assert found.fault == ""


async def test_events_that_the_coordinator_took_are_in_the_account_and_whether_they_are_over(
    coordinator: FakeCoordinator, publisher: Publisher, simulated: Simulated
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=0.5)))  # below what radio ever gives
    running = simulated.start()
    await coordinator.until(lambda: len({event.event_id for event in coordinator.events}) >= 2)
    simulated.member.end()
    async with asyncio.timeout(20):
        await running
    over = {event.event_id: event.box.HasField("end_time") for event in coordinator.events}
    assert {event.event_id: event.over for event in simulated.member.account().events} == over
    assert all(over.values())


async def test_what_is_sent_again_after_cuts_is_stored_once_and_counted_as_acknowledged_once(
    coordinator: FakeCoordinator, simulated: Simulated
) -> None:
    coordinator.assign(None, training_target_s=100.0)
    running = simulated.start(LinkFaults(cut_s=0.2, every_s=0.2, seed=1))
    await coordinator.until(lambda: len(coordinator.segments) >= 6)
    simulated.member.end()
    async with asyncio.timeout(20):
        await running
    found = simulated.member.account()
    assert len(found.cuts) >= 2
    assert all(cut.until_at is not None for cut in found.cuts)
    assert found.segments.acknowledged == found.segments.made == len(coordinator.segments)
    assert 0.1 < found.longest_outage_s <= found.longest_pause_s


async def test_who_is_stopped_at_once_leaves_what_is_not_answered_in_its_spool(
    coordinator: FakeCoordinator, simulated: Simulated
) -> None:
    coordinator.assign(None, training_target_s=100.0)
    answering = coordinator.hold_answers()
    running = simulated.start()
    await coordinator.until(lambda: bool(coordinator.received))
    simulated.member.stop()
    async with asyncio.timeout(20):
        await running
    answering.set()
    segments = simulated.member.account().segments
    assert segments.made > 0
    assert segments.held == segments.made
    assert segments.acknowledged == segments.given_up == 0


async def test_an_agent_that_cannot_keep_its_spool_ends_with_the_reason_in_the_account(
    simulated: Simulated, tmp_path: Path
) -> None:
    (tmp_path / "roof" / "spool").write_text("in the way")
    async with asyncio.timeout(20):
        await simulated.start()
    assert "spool" in simulated.member.account().fault
