"""Events of a running agent: reported, with the segments around them as evidence; and self-tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bandwatch.spectrogram.bands import FRAME_SECONDS, WINDOW_FRAMES
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import incident_pb2
from observer_agent.agent.event_keeping import EventKeeper
from observer_agent.agent.keeping import Keeper
from observer_agent.detection.pipeline import Run
from observer_agent.detection.segmenter import CutSegment
from observer_agent.models.desired import DesiredState, SelfTestOrder
from observer_agent.receivers.clock import SampleClock
from observer_agent.spool.records import Origin, Purpose, SegmentRecord
from observer_agent.spool.store import Spool
from tests.unit.observer_agent.conftest import BAND, CELL, MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.followed_events import STRIDE, batches_of
from tests.unit.observer_agent.hand_fed_receiver import CENTER_HZ, RATE_HZ, HandFedReceiver
from tests.unit.observer_agent.tiny_models import Publisher

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
QUICK = {"event_windows": 8, "event_raise_at": 2, "event_clear_at": 0}
"""The tiny model follows what stays within a few windows."""


def cut(number: int, *, has_turn: bool = False, self_test: str = "") -> CutSegment:
    return CutSegment(
        codes=np.full((125, 128), number, np.uint8),
        start_at=NOON + timedelta(seconds=4 * number),
        clipped_share=0.0,
        serial=1,
        anomalous=np.zeros(5, np.bool_),
        self_test=self_test,
        has_turn=has_turn,
    )


def desired(training_s: float = 0.0) -> DesiredState:
    return DesiredState(
        revision=1, cell=CELL, band=BAND, center_hz=CENTER_HZ, width_hz=RATE_HZ, training_target_s=training_s
    )


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit_bytes=10**9, quarantine_limit_bytes=10**7)


def kept(spool: Spool) -> dict[int, SegmentRecord]:
    """Return what the spool holds by the number that fills the codes."""
    found: dict[int, SegmentRecord] = {}
    origins: list[Origin] = []
    while (held := spool.next_segment(origins)) is not None:
        origins.append(held.origin)
        found[held.codes[0]] = held.record
    return found


def keeper_of(spool: Spool, make_settings: MakeSettings, **changes: int) -> Keeper:
    return Keeper(spool, make_settings(**changes), mobility="static", gain_db=None, on_made=lambda: None)


def test_the_segments_before_and_after_a_turn_of_an_event_are_evidence_too(
    spool: Spool, make_settings: MakeSettings
) -> None:
    keeper = keeper_of(spool, make_settings)
    for number in range(10):
        keeper.keep([cut(number, has_turn=number in (2, 6))], desired())
    keeper.keep_rest(desired())
    assert sorted(kept(spool)) == [1, 2, 3, 5, 6, 7]
    assert {record.purpose for record in kept(spool).values()} == {Purpose.EVIDENCE}


def test_a_segment_that_waits_is_kept_when_nothing_comes_after_it(spool: Spool, make_settings: MakeSettings) -> None:
    keeper = keeper_of(spool, make_settings)
    keeper.keep([cut(0), cut(1)], desired(training_s=100.0))
    assert sorted(kept(spool)) == [0]
    keeper.keep_rest(desired(training_s=100.0))
    keeper.keep_rest(desired(training_s=100.0))
    assert sorted(kept(spool)) == [0, 1]


def test_without_budget_nothing_is_evidence_and_the_rest_trains(spool: Spool, make_settings: MakeSettings) -> None:
    keeper = keeper_of(spool, make_settings, evidence_segments_per_hour=1)
    keeper.keep([cut(0), cut(1, has_turn=True), cut(2)], desired(training_s=100.0))
    keeper.keep_rest(desired(training_s=100.0))
    assert [record.purpose for _, record in sorted(kept(spool).items())] == ["evidence", "training", "training"]


def test_a_marked_segment_never_trains(spool: Spool, make_settings: MakeSettings) -> None:
    keeper = keeper_of(spool, make_settings)
    keeper.keep([cut(0), cut(1, self_test="selfTests/t1"), cut(2)], desired(training_s=100.0))
    keeper.keep_rest(desired(training_s=100.0))
    assert sorted(kept(spool)) == [0, 2]


def test_an_event_over_which_the_clock_was_set_back_never_ends_before_it_began(
    spool: Spool, make_settings: MakeSettings
) -> None:
    clock = SampleClock(RATE_HZ)
    events = EventKeeper(keeper_of(spool, make_settings), clock, make_settings(**QUICK))
    flags = np.zeros(60, np.bool_)
    flags[20:30] = True
    codes = np.full((60 * STRIDE + WINDOW_FRAMES, 128), 100, np.uint8)
    clock.arrived(0, NOON)
    *most, last = batches_of(codes, flags, [32 * STRIDE], Run(0, 0, RATE_HZ))
    for batch in most:
        events.push(batch, desired())
    clock.arrived(0, NOON - timedelta(hours=1), discontinuity=True)
    events.push(last, desired())
    events.close(desired())
    first, final = (held.record for held in spool.events(10))
    assert first.event_id == final.event_id
    assert first.end_at is None
    assert final.end_at == final.start_at == first.start_at


async def test_an_agent_reports_an_event_when_it_is_raised_and_when_it_is_over(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=0.5)))  # below what noise ever gives
    receiver = HandFedReceiver()
    receiver.feed(2000)
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True)) as agent:
        await agent.task
    first, last = coordinator.events
    assert first.event_id == last.event_id
    assert (first.cell, first.serial, first.score, first.threshold) == (CELL, 3, "error", 0.5)
    assert first.origin.sequence < last.origin.sequence
    assert (first.box.HasField("end_time"), last.box.HasField("end_time")) == (False, True)
    lasted = to_moment(last.box.end_time) - to_moment(last.box.start_time)
    assert lasted.total_seconds() == pytest.approx(1900 * FRAME_SECONDS, abs=1e-3)
    assert CENTER_HZ - RATE_HZ / 2 <= last.box.low_hz < last.box.high_hz <= CENTER_HZ + RATE_HZ / 2
    assert agent.spool.totals.held_events == 0


async def test_a_self_test_is_an_event_and_marked_segments_and_nothing_else(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    order = SelfTestOrder(name="selfTests/t1", expires_at=datetime.now(UTC) + timedelta(minutes=5))
    coordinator.assign(
        publisher.seal(publisher.manifest(3, threshold_db=4.0)), training_target_s=100.0, self_test=order
    )
    receiver = HandFedReceiver()
    for _ in range(6):
        receiver.feed(2500)
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True, **QUICK)) as agent:
        await agent.task
    assert coordinator.events
    assert {event.self_test for event in coordinator.events} == {order.name}
    *_, last = coordinator.events
    assert last.kind == incident_pb2.EVENT_KIND_PARTIAL
    assert last.box.low_hz < CENTER_HZ + RATE_HZ / 8 < last.box.high_hz
    marked = [segment for segment, _ in coordinator.segments.values() if segment.self_test]
    plain = [segment for segment, _ in coordinator.segments.values() if not segment.self_test]
    assert {segment.self_test for segment in marked} == {order.name}
    assert {segment.purpose for segment in marked} == {1}
    assert plain
    assert not coordinator.anomalies
    assert coordinator.reports[-1].anomalies_found == 0
    assert coordinator.reports[-1].windows_scored < (15_000 - 125) / 25 - 2.0 / FRAME_SECONDS / 25


async def test_a_self_test_that_has_expired_is_left(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    order = SelfTestOrder(name="selfTests/t1", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=4.0)), self_test=order)
    receiver = HandFedReceiver()
    receiver.feed(3000)
    receiver.end()
    async with start_agent(receiver, make_settings(exit_at_end=True, **QUICK)) as agent:
        await agent.task
    assert not coordinator.events
