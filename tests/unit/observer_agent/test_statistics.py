"""Statistics are the sums that a slow reckoning over all frames and windows gives, span by span."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.pipeline import FrameBatch, Run
from observer_agent.detection.statistics import StatisticsMaker
from observer_agent.receivers.clock import SampleClock
from observer_agent.spool.records import Lane, StatisticsRecord
from observer_agent.spool.store import Spool
from tests.unit.observer_agent.conftest import MakeSettings, StartAgent
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.hand_fed_receiver import RATE_HZ, HandFedReceiver
from tests.unit.observer_agent.tiny_models import Publisher

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
OAK, ELM = "cells/oak", "cells/elm"


def scored(serial: int, errors: NDArray[np.float32], flagged: int = 0) -> ScoredWindows:
    return ScoredWindows(
        model=f"models/m{serial}",
        serial=serial,
        first_frames=np.arange(len(errors)) * 25,
        error_db=errors,
        score="error",
        scores={"error": errors},
        threshold=9.0,
        false_alarm_rate=0.01,
        anomalous=np.arange(len(errors)) < flagged,
        predicted=np.zeros((len(errors), 25, 128), np.float32),
        scoring_s=0.25,
    )


def batch_of(first_frame: int, frames: int, *, serial: int = 0, **more: object) -> FrameBatch:
    codes = np.random.default_rng(first_frame).integers(0, 200, (frames, 128), np.uint8)
    return FrameBatch(codes, first_frame, Run(0, 0, RATE_HZ), 0.25, serial, **{"windows": None, **more})  # type: ignore[arg-type] # fields by name


def maker_of(span_s: float = 60.0) -> StatisticsMaker:
    clock = SampleClock(RATE_HZ)
    clock.arrived(10**9, NOON)
    return StatisticsMaker(clock, span_s)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6))
def test_any_split_into_batches_gives_the_same_span(sizes: list[int]) -> None:
    maker, first, codes = maker_of(), 0, []
    for size in sizes:
        batch = batch_of(first, size)
        codes.append(batch.codes)
        assert maker.push(batch, OAK, lost_samples=3) == []
        first += size
    (record,) = maker.close()
    levels = DEFAULT_REFERENCE_DB + 0.5 * np.concatenate(codes).astype(float)
    assert record.frames == sum(sizes)
    assert record.power_dbm == pytest.approx(10 * np.log10((10 ** (levels / 10)).mean(axis=1).mean()))
    assert record.noise_floor_dbm == pytest.approx(np.quantile(levels, 0.1, method="inverted_cdf"))
    assert record.clipped_share == pytest.approx(0.25)
    assert record.lost_samples == 3 * len(sizes)
    assert record.duration_s == pytest.approx(sum(sizes) * FRAME_SECONDS, rel=1e-3)
    assert maker.close() == []


def test_both_releases_and_their_difference_are_summed_up_without_windows_that_have_no_score() -> None:
    active = np.array([1.0, 2.0, 3.0, np.nan], np.float32)
    shadow = np.array([1.5, np.inf, 2.0, 4.0], np.float32)
    maker = maker_of()
    for first in (0, 400):
        windows, beside = scored(4, active, flagged=1), scored(7, shadow, flagged=2)
        maker.push(batch_of(first, 400, serial=4, windows=windows, shadow_serial=7, shadow_windows=beside), OAK)
    (record,) = maker.close()
    in_force, tried = record.scores
    assert (in_force.serial, in_force.shadow, tried.serial, tried.shadow) == (4, False, 7, True)
    assert (in_force.windows, in_force.unscored_windows, in_force.anomalous_windows) == (8, 2, 2)
    assert (in_force.error_sum_db, in_force.error_square_sum_db2) == pytest.approx((12.0, 28.0))
    assert (tried.windows, tried.unscored_windows) == (8, 2)
    assert tried.error_sum_db == pytest.approx(15.0)
    assert in_force.scoring_s == pytest.approx(0.5)
    assert record.comparison is not None
    assert (record.comparison.active_serial, record.comparison.shadow_serial) == (4, 7)
    assert record.comparison.windows == 4
    assert record.comparison.difference_sum_db == pytest.approx(2 * (0.5 - 1.0))
    assert record.comparison.difference_square_sum_db2 == pytest.approx(2 * (0.25 + 1.0))


def test_a_span_ends_after_its_time_and_where_cell_or_model_changes() -> None:
    maker = maker_of(span_s=800 * FRAME_SECONDS)
    assert maker.push(batch_of(0, 400), OAK) == []
    assert [record.frames for record in maker.push(batch_of(400, 400), OAK)] == [800]
    assert maker.push(batch_of(800, 100), OAK) == []
    assert [record.cell for record in maker.push(batch_of(900, 100), ELM)] == [OAK]
    windows = scored(4, np.ones(2, np.float32))
    assert [record.cell for record in maker.push(batch_of(1000, 100, serial=4, windows=windows), ELM)] == [ELM]
    (record,) = maker.push(batch_of(1100, 100, serial=5), ELM)
    assert [scores.serial for scores in record.scores] == [4]


def test_looks_at_noise_without_a_signal_say_so_and_a_gap_begins_another_look() -> None:
    steady = np.random.default_rng(1).normal(60, 2, (1250, 128)).astype(np.uint8)
    maker = maker_of()
    maker.push(FrameBatch(steady, 0, Run(0, 0, RATE_HZ), 0.0, 0, None), OAK)
    maker.push(FrameBatch(steady[:1000], 1250, Run(1250, 0, RATE_HZ), 0.0, 0, None), OAK)
    maker.push(FrameBatch(steady[:1000], 2250, Run(2250, 0, RATE_HZ), 0.0, 0, None), OAK)
    (record,) = maker.close()
    assert record.noise_only_share == 1.0


async def test_an_agent_reports_its_release_and_the_one_in_shadow_beside_it(
    coordinator: FakeCoordinator, publisher: Publisher, make_settings: MakeSettings, start_agent: StartAgent
) -> None:
    active, shadow = (publisher.seal(publisher.manifest(serial, bias=bias)) for serial, bias in ((3, 0.0), (5, 2.0)))
    coordinator.assign(active, shadow=shadow)
    receiver = HandFedReceiver()
    async with start_agent(receiver, make_settings(exit_at_end=True, statistics_span_s=0.1)) as agent:
        await coordinator.until(lambda: bool(coordinator.reports) and coordinator.reports[-1].shadow_serial == 5)
        for _ in range(3):
            await receiver.feed_and_wait(400)
        receiver.end()
        await agent.task
    spans = [span for span in coordinator.statistics.values() if len(span.scores) == 2]
    assert sum(span.radio.frames for span in spans) >= 800
    assert {(scores.serial, scores.shadow) for span in spans for scores in span.scores} == {(3, False), (5, True)}
    for span in spans:
        in_force, tried = span.scores
        assert span.comparison.windows == in_force.windows == tried.windows
        expected = tried.error_sum_db - in_force.error_sum_db
        assert span.comparison.difference_sum_db == pytest.approx(expected, abs=1e-3)
    assert agent.spool.totals.held == 0
    assert {anomaly.serial for anomaly in coordinator.anomalies.values()} <= {3}


def test_statistics_are_the_first_to_be_evicted(tmp_path: Path) -> None:
    maker = maker_of()
    maker.push(batch_of(0, 400), OAK)
    (record,) = maker.close()
    assert isinstance(record, StatisticsRecord)
    size = len(record.model_dump_json())
    spool = Spool(tmp_path / "spool", limit_bytes=3 * size, quarantine_limit_bytes=0)
    spool.put_statistics([record] * 5)
    assert (spool.totals.held_statistics, spool.totals.evicted) == (3, 2)
    assert [held.origin.sequence for held in spool.statistics(10)] == [3, 4, 5]
    spool.acknowledge([spool.statistics(1)[0].origin])
    assert (spool.totals.held_statistics, spool.totals.acknowledged) == (2, 1)
    assert Lane.STATISTICS < Lane.ANOMALY
    spool.close()
