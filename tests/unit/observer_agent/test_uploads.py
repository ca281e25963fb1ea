"""How segments and anomalies reach the coordinator, whatever happens to the streams."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from hashlib import sha256
from pathlib import Path

import grpc
import pytest

from bandwatch.errors import UnauthenticatedError, UnavailableError
from bandwatch.identity.identity_files import load_identity
from observer_agent.agent.delivery import Delivery
from observer_agent.agent.retry import keep_doing
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.conftest import CELL, MakeSettings
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.spooled import make_anomaly, make_segment


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit_bytes=10**9, quarantine_limit_bytes=10**7)


@pytest.fixture
async def delivery(coordinator: FakeCoordinator, make_settings: MakeSettings, spool: Spool) -> AsyncIterator[Delivery]:
    settings = make_settings()
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(coordinator.credit_bytes)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(keep_doing("upload", delivery.upload, settings)),
                group.create_task(keep_doing("report", delivery.report, settings)),
            ]
            yield delivery
            for task in tasks:
                task.cancel()
    spool.close()


async def until_delivered(delivery: Delivery) -> None:
    async with asyncio.timeout(20):
        await delivery.wait_until_delivered()


async def test_a_segment_arrives_as_it_was_made(coordinator: FakeCoordinator, spool: Spool, delivery: Delivery) -> None:
    record, codes = make_segment(1)
    origin = spool.put_segment(record, codes)
    delivery.wake()
    await until_delivered(delivery)
    ((key, (message, arrived)),) = coordinator.segments.items()
    assert key == (origin.boot_id, origin.sequence)
    assert arrived == codes
    assert message.observer == "observers/o1"
    assert message.cell == CELL
    assert message.start_time.ToDatetime(tzinfo=UTC) == record.start_at
    assert message.clock_error.ToMilliseconds() == 250
    assert message.frame_count * 128 == len(codes)
    assert message.reference_dbm == -120.0
    assert message.purpose == 2
    assert message.context.mobility == 2
    assert message.quality.clipped_share == 0.125
    assert message.quality.noise_only
    assert not message.quality.HasField("gain_db")
    assert (message.scored_by_serial, message.anomalous_windows) == (7, 3)
    assert message.codes_digest == sha256(codes).hexdigest()


async def test_a_broken_stream_loses_nothing_and_settles_nothing_twice(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    coordinator.break_upload_after = [0, 1, 3, 0, 2]
    origins = [spool.put_segment(*make_segment(number)) for number in range(20)]
    delivery.wake()
    await until_delivered(delivery)
    assert set(coordinator.segments) == {(origin.boot_id, origin.sequence) for origin in origins}
    assert max(coordinator.received.values()) > 1
    assert spool.totals.acknowledged == 20
    assert spool.totals.made == 20


async def test_a_refused_segment_goes_to_quarantine_and_the_rest_goes_on(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    coordinator.refuse = lambda message: message.origin.sequence == 2
    for number in range(3):
        spool.put_segment(*make_segment(number))
    delivery.wake()
    await until_delivered(delivery)
    assert sorted(sequence for _, sequence in coordinator.segments) == [1, 3]
    assert spool.refusals() == [(2, "invalid_argument", "the test does not like it")]
    assert (spool.totals.acknowledged, spool.totals.refused) == (2, 1)


async def test_no_more_is_under_way_than_the_coordinator_allows(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    delivery.allow(40_000)  # two segments of 16,000 bytes, not three
    for number in range(6):
        spool.put_segment(*make_segment(number))
    delivery.wake()
    await until_delivered(delivery)
    assert len(coordinator.segments) == 6
    assert coordinator.most_under_way <= 2 * 16_000


async def test_one_segment_alone_is_under_way_until_the_coordinator_has_settled_one(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    delivery.allow(200_000)
    for number in range(6):
        spool.put_segment(*make_segment(number))
    held_back = coordinator.hold_answers()
    delivery.wake()
    await coordinator.until(lambda: sum(coordinator.received.values()) == 1)
    assert coordinator.most_under_way == 16_000
    held_back.set()
    await until_delivered(delivery)
    assert len(coordinator.segments) == 6


async def test_nothing_is_sent_while_nothing_is_allowed(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    delivery.allow(0)
    spool.put_segment(*make_segment(1))
    spool.put_anomalies([make_anomaly()])
    delivery.wake()
    await coordinator.until(lambda: len(coordinator.anomalies) == 1)
    assert not coordinator.received
    delivery.allow(1)
    await until_delivered(delivery)
    assert len(coordinator.segments) == 1


async def test_anomalies_arrive_and_refused_ones_go_to_quarantine(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    coordinator.refuse_anomalies_of = "cells/unknown"
    spool.put_anomalies([make_anomaly(), make_anomaly("cells/unknown"), make_anomaly()])
    delivery.wake()
    await until_delivered(delivery)
    assert sorted(sequence for _, sequence in coordinator.anomalies) == [1, 3]
    message = next(iter(coordinator.anomalies.values()))
    assert message.window_duration.ToMilliseconds() == 32
    assert (message.score, message.value, message.threshold, message.error_db) == ("band", 9.5, 6.25, 4.5)
    assert (message.false_alarm_rate, message.model, message.serial) == (0.01, "models/m7", 7)
    assert [refusal[:2] for refusal in spool.refusals()] == [(2, "not_found")]


def put_damaged_segment(spool: Spool) -> None:
    record, codes = make_segment(1)
    spool.put_segment(record, codes[::-1])


def put_damaged_anomaly(spool: Spool) -> None:
    spool.put_anomalies([make_anomaly().model_copy(update={"error_db": float("inf")})])


@pytest.mark.parametrize("put", [put_damaged_segment, put_damaged_anomaly])
async def test_what_was_dropped_as_damaged_is_not_waited_for(
    spool: Spool, delivery: Delivery, put: Callable[[Spool], None]
) -> None:
    put(spool)
    waiting = asyncio.create_task(until_delivered(delivery))
    delivery.wake()
    await waiting
    assert (spool.totals.damaged, spool.totals.made) == (1, 1)


async def test_delivery_goes_on_when_the_coordinator_comes_back(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    spool.put_segment(*make_segment(1))
    delivery.wake()
    await until_delivered(delivery)
    await coordinator.stop()
    spool.put_segment(*make_segment(2))
    spool.put_anomalies([make_anomaly()])
    delivery.wake()
    await coordinator.start(coordinator.port)
    await until_delivered(delivery)
    assert (len(coordinator.segments), len(coordinator.anomalies)) == (2, 1)


@pytest.mark.fault(
    "a coordinator that takes segments and never answers",
    "the stream is left after its deadline, and nothing is let go of",
)
async def test_a_coordinator_that_never_answers_is_left_after_the_deadline(
    coordinator: FakeCoordinator, make_settings: MakeSettings, spool: Spool
) -> None:
    settings = make_settings(answer_deadline_s=0.2)
    coordinator.hold_answers()
    spool.put_segment(*make_segment(1))
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(10**6)
        with pytest.raises(UnavailableError, match="no answer"):
            await delivery.upload()
    assert spool.totals.held_segments == 1
    spool.close()


async def test_a_token_that_is_not_accepted_is_told_apart(
    coordinator: FakeCoordinator, make_settings: MakeSettings, spool: Spool
) -> None:
    coordinator.status = grpc.StatusCode.UNAUTHENTICATED
    settings = make_settings()
    spool.put_segment(*make_segment(1))
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(10**6)
        with pytest.raises(UnauthenticatedError):
            await delivery.upload()
    assert spool.totals.held_segments == 1
    spool.close()
