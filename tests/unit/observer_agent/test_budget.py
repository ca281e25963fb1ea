"""Evidence goes before training before routine, in a day's budget and in a full spool; all of it is counted."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from bandwatch.identity.identity_files import load_identity
from observer_agent.agent.delivery import Delivery
from observer_agent.agent.keeping import Keeper
from observer_agent.agent.retry import keep_doing
from observer_agent.detection.segmenter import CutSegment
from observer_agent.models.desired import CaptureOrder, DesiredState
from observer_agent.spool.records import Lane, Purpose
from observer_agent.spool.store import Spool
from observer_agent.uplink.budget import UploadBudget
from observer_agent.uplink.client import Uplink
from tests.unit.observer_agent.conftest import CELL, MakeSettings
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.spooled import make_segment

MONDAY = date(2026, 3, 2)
SIZE = 16_000


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", limit_bytes=10**9, quarantine_limit_bytes=10**7)


def test_lanes_wait_one_after_the_other_as_the_day_is_used_up(spool: Spool) -> None:
    budget = UploadBudget(spool, 100_000, lambda: MONDAY)
    waiting = {}
    for used in range(0, 110_000, 10_000):
        waiting[used] = budget.last_lane
        budget.spend(10_000)
    assert [waiting[used] for used in (0, 50_000, 60_000, 70_000, 80_000, 90_000, 100_000)] == [
        Lane.ROUTINE,
        Lane.ROUTINE,
        Lane.TRAINING,
        Lane.TRAINING,
        Lane.EVIDENCE,
        Lane.EVIDENCE,
        None,
    ]


def test_the_smaller_of_both_budgets_holds(spool: Spool) -> None:
    budget = UploadBudget(spool, 100_000, lambda: MONDAY)
    limits = []
    for allowed in (50_000, 0, 200_000):
        budget.allow(allowed)
        limits.append(budget.limit_bytes)
    assert limits == [50_000, 100_000, 100_000]


def test_what_was_sent_is_remembered_across_restarts_and_forgotten_the_next_day(spool: Spool, tmp_path: Path) -> None:
    days = iter([MONDAY, MONDAY, MONDAY + timedelta(days=1)])
    UploadBudget(spool, 100_000, lambda: next(days)).spend(90_000)
    spool.close()
    budget = UploadBudget(
        Spool(tmp_path / "spool", limit_bytes=10**9, quarantine_limit_bytes=10**7), 100_000, lambda: next(days)
    )
    assert (budget.used_bytes, budget.used_bytes) == (90_000, 0)


@pytest.fixture
async def delivery(coordinator: FakeCoordinator, make_settings: MakeSettings, spool: Spool) -> AsyncIterator[Delivery]:
    settings = make_settings()
    async with Uplink(settings, load_identity(settings.identity_folder, "")) as uplink:
        delivery = Delivery(spool, uplink, settings)
        delivery.allow(coordinator.credit_bytes)
        task = asyncio.create_task(keep_doing("upload", delivery.upload, settings))
        yield delivery
        task.cancel()
    spool.close()


@pytest.mark.fault(
    "a day's bytes used up",
    "evidence goes on longest; the rest waits",
)
async def test_evidence_goes_on_when_the_budget_for_training_is_used_up(
    coordinator: FakeCoordinator, spool: Spool, delivery: Delivery
) -> None:
    delivery.budget.allow(6 * SIZE + SIZE // 2)
    for number in range(8):
        spool.put_segment(*make_segment(number))
    delivery.wake()
    await coordinator.until(lambda: len(coordinator.segments) == 5)  # 80 % of the budget
    for number in range(10, 12):
        spool.put_segment(*make_segment(number, purpose=Purpose.EVIDENCE))
    delivery.wake()
    await coordinator.until(lambda: len(coordinator.segments) == 6)
    assert delivery.budget.used_bytes == 6 * SIZE
    delivery.budget.allow(7 * SIZE)
    delivery.wake()
    await coordinator.until(lambda: len(coordinator.segments) == 7)
    purposes = [message.purpose for message, _ in coordinator.segments.values()]
    assert purposes == [2] * 5 + [1] * 2
    assert spool.totals.made == 10  # three wait for another day


def test_an_order_for_more_is_carried_out_once_and_not_after_its_time(
    spool: Spool, make_settings: MakeSettings
) -> None:
    keeper = Keeper(spool, make_settings(), mobility="static", gain_db=None, on_made=lambda: None)
    segment = CutSegment(
        codes=np.random.default_rng(1).integers(0, 256, (4000, 128), dtype=np.uint8),  # 1.024 s
        start_at=datetime.now(UTC),
        clipped_share=0.0,
        serial=0,
        anomalous=np.zeros(10, dtype=np.bool_),
    )

    def kept_of(wanted_s: float, order: str, expires_in: timedelta) -> int:
        capture = CaptureOrder(order=order, cell=CELL, duration_s=wanted_s, expires_at=datetime.now(UTC) + expires_in)
        desired = DesiredState(
            revision=1,
            cell=CELL,
            band="bands/b1",
            center_hz=881.5e6,
            width_hz=5e6,
            training_target_s=0.0,
            capture=capture,
        )
        before = spool.totals.made
        keeper.keep([segment] * 6, desired)
        return spool.totals.made - before

    hour = timedelta(hours=1)
    assert kept_of(3.0, "c-1", hour) == 3
    assert kept_of(3.0, "c-1", hour) == 0
    assert kept_of(2.0, "c-2", -hour) == 0
    assert kept_of(2.0, "c-3", hour) == 2
