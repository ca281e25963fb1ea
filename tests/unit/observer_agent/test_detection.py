"""From blocks to scored windows, segments and their purposes."""

from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.samples import encode_samples
from observer_agent.detection.detector import DetectionOptions, ScoredWindows
from observer_agent.detection.pipeline import FrameBatch, Pipeline, Run
from observer_agent.detection.purposes import EvidenceBudget, choose_purpose, holds_burst
from observer_agent.detection.segmenter import LONGEST_FRAMES, Segmenter
from observer_agent.receivers.blocks import Block
from observer_agent.receivers.clock import SampleClock
from observer_agent.spool.records import Purpose
from tests.unit.observer_agent.hand_fed_receiver import CENTER_HZ, RATE_HZ, HandFedReceiver

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
FRAME_SAMPLES = RATE_HZ * 256e-6


def make_pipeline(mixer: AnomalyMixer | None = None) -> Pipeline:
    return Pipeline(HandFedReceiver(), Band(CENTER_HZ, RATE_HZ), DetectionOptions(), mixer=mixer)


def block_of(iq: NDArray[np.complex64], first_sample: int = 0) -> Block:
    return Block(encode_samples(iq, "cf32_le"), "cf32_le", first_sample, len(iq))


def noise(count: int, level: float = 0.01) -> NDArray[np.complex64]:
    values = np.random.default_rng(5).standard_normal((count, 2), dtype=np.float32).view(np.complex64)[:, 0]
    return values * np.float32(level)


def test_any_split_into_blocks_gives_the_same_frames() -> None:
    iq = noise(100_000)
    whole = make_pipeline().push(block_of(iq), None).codes
    pipeline = make_pipeline()
    blocks = [block_of(iq[start : start + 7001], start) for start in range(0, len(iq), 7001)]
    parts = [pipeline.push(block, None).codes for block in blocks]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert pipeline.frames == len(whole) == int(100_000 / FRAME_SAMPLES)


def test_frames_after_a_restart_count_on_from_the_sample_at_which_they_begin() -> None:
    pipeline = make_pipeline()
    pipeline.push(block_of(noise(10_000)), None)
    before = pipeline.frames
    pipeline.restart()
    batch = pipeline.push(block_of(noise(10_000), 50_000), None)
    assert (batch.first_frame, batch.run.first_sample) == (before, 50_000)
    assert batch.run.sample_of(before + 3) == pytest.approx(50_000 + 3 * FRAME_SAMPLES)


def test_anomalies_of_a_timetable_are_in_the_frames() -> None:
    step = AnomalyMixer([Anomaly("ofdm-1mhz", 0.02, 0.04, ratio_db=20.0)], RATE_HZ, seed=1)
    iq = noise(115_200)  # 0.06 s
    drill = make_pipeline(step).push(block_of(iq), None).codes.astype(int)
    plain = make_pipeline().push(block_of(iq), None).codes.astype(int)
    louder_db = (drill - plain).mean(axis=1) / 2
    frames_s = np.arange(len(plain)) * 256e-6
    during = (frames_s > 0.021) & (frames_s < 0.039)
    outside = (frames_s < 0.019) | (frames_s > 0.041)
    assert louder_db[during].mean() > 5
    assert abs(louder_db[outside]).max() < 1


def test_clipping_is_measured_on_the_samples_as_received() -> None:
    iq = noise(10_000)
    iq[:1000] = 1.0
    assert make_pipeline().push(block_of(iq), None).clipped_share == pytest.approx(0.1)


def windows_at(first_frames: list[int], anomalous: list[bool], serial: int) -> ScoredWindows:
    count = len(first_frames)
    return ScoredWindows(
        model=f"models/m{serial}",
        serial=serial,
        first_frames=np.array(first_frames, dtype=np.int64),
        error_db=np.full(count, 3.0, dtype=np.float32),
        score="error",
        scores={"error": np.full(count, 3.0, dtype=np.float32)},
        threshold=2.5,
        false_alarm_rate=0.01,
        anomalous=np.array(anomalous, dtype=np.bool_),
        predicted=np.zeros((count, 25, 128), dtype=np.float32),
    )


def batch_of(
    first_frame: int, count: int, *, serial: int = 0, windows: ScoredWindows | None = None, clipped_share: float = 0.0
) -> FrameBatch:
    codes = np.random.default_rng(first_frame).integers(0, 256, (count, 128), dtype=np.uint8)
    return FrameBatch(codes, first_frame, Run(0, 0, RATE_HZ), clipped_share, serial, windows)


def clock_at(frames: int) -> SampleClock:
    clock = SampleClock(RATE_HZ)
    clock.arrived(round(frames * FRAME_SAMPLES), NOON)
    return clock


def test_a_segment_is_four_seconds_at_most_and_the_next_begins_with_the_next_frame() -> None:
    segmenter = Segmenter(clock_at(20_000))
    batches = [batch_of(start, 390) for start in range(0, 20_280, 390)]
    cut = [segment for batch in batches for segment in segmenter.push(batch)] + segmenter.close()
    assert [len(segment.codes) for segment in cut] == [LONGEST_FRAMES, 20_280 - LONGEST_FRAMES]
    np.testing.assert_array_equal(
        np.concatenate([segment.codes for segment in cut]), np.concatenate([batch.codes for batch in batches])
    )
    later = cut[1].start_at - cut[0].start_at
    assert abs(later - timedelta(seconds=4)) < timedelta(microseconds=5)


def test_frames_that_fill_no_window_make_no_segment() -> None:
    segmenter = Segmenter(clock_at(200))
    segmenter.push(batch_of(0, 124))
    assert segmenter.close() == []
    segmenter.push(batch_of(124, 125))
    assert [len(segment.codes) for segment in segmenter.close()] == [125]


def test_another_model_begins_another_segment() -> None:
    segmenter = Segmenter(clock_at(900))
    cut = []
    for first, serial in ((0, 0), (300, 4), (600, 4)):
        cut += segmenter.push(batch_of(first, 300, serial=serial))
    cut += segmenter.close()
    assert [(segment.serial, len(segment.codes)) for segment in cut] == [(0, 300), (4, 600)]


def test_a_window_counts_in_the_segment_that_holds_its_last_frame() -> None:
    segmenter = Segmenter(clock_at(16_000))
    cut = segmenter.push(batch_of(0, LONGEST_FRAMES - 100, serial=1))
    windows = windows_at([LONGEST_FRAMES - 125, LONGEST_FRAMES - 124], [True, False], 1)
    cut += segmenter.push(batch_of(LONGEST_FRAMES - 100, 300, serial=1, windows=windows))
    cut += segmenter.close()
    assert [segment.anomalous.tolist() for segment in cut] == [[True], [False]]


def test_clipping_of_a_segment_is_the_mean_over_its_frames() -> None:
    segmenter = Segmenter(clock_at(400))
    segmenter.push(batch_of(0, 300, clipped_share=0.0))
    segmenter.push(batch_of(300, 100, clipped_share=0.4))
    assert segmenter.close()[0].clipped_share == pytest.approx(0.1)


def test_no_part_of_a_segment_lies_in_the_future_however_fast_it_was_played() -> None:
    clock = SampleClock(RATE_HZ)
    segmenter, cut, now = Segmenter(clock), [], NOON
    for first in range(0, 15_990, 390):
        now += timedelta(milliseconds=1)  # a block of 100 ms
        clock.arrived(round((first + 390) * FRAME_SAMPLES), now)
        cut += [(segment, now) for segment in segmenter.push(batch_of(first, 390))]
    ((segment, cut_at),) = cut
    assert segment.start_at + timedelta(seconds=4) <= cut_at + timedelta(microseconds=5)


@given(st.lists(st.booleans(), max_size=80), st.floats(0.001, 0.5))
def test_a_burst_is_three_in_a_row_or_a_share_beyond_chance(flags: list[bool], rate: float) -> None:
    three = "111" in "".join("1" if flag else "0" for flag in flags)
    many = bool(flags) and sum(flags) / len(flags) > max(0.05, 5 * rate)
    assert holds_burst(np.array(flags, dtype=np.bool_), rate) == (three or many)


def test_the_budget_of_evidence_holds_for_any_hour() -> None:
    budget = EvidenceBudget(2)
    assert [budget.spend(moment_s) for moment_s in (0.0, 1800.0, 3599.0, 3600.0, 3700.0, 5400.0)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


BURST = np.array([False, True, True, True, False] * 3)
QUIET = np.zeros(15, dtype=np.bool_)


@pytest.mark.parametrize(
    ("anomalous", "evidence_left", "training_frames", "purpose"),
    [
        (BURST, 1, 0, Purpose.EVIDENCE),
        (BURST, 1, 10**9, Purpose.EVIDENCE),
        (BURST, 0, 0, Purpose.TRAINING),
        (BURST, 0, 10**9, None),
        (QUIET, 1, 0, Purpose.TRAINING),
        (QUIET, 1, 39_062, Purpose.TRAINING),  # 9.999872 s of 10 s
        (QUIET, 1, 39_063, None),
        (np.empty(0, dtype=np.bool_), 1, 0, Purpose.TRAINING),
    ],
)
def test_a_segment_is_kept_for_what_needs_it(
    anomalous: NDArray[np.bool_], evidence_left: int, training_frames: int, purpose: Purpose | None
) -> None:
    chosen = choose_purpose(
        anomalous,
        false_alarm_rate=0.01,
        budget=EvidenceBudget(evidence_left),
        now_s=0.0,
        training_frames=training_frames,
        training_target_s=10.0,
    )
    assert chosen == purpose


def test_a_segment_without_a_burst_spends_no_evidence() -> None:
    budget = EvidenceBudget(1)
    choose = partial(
        choose_purpose, budget=budget, false_alarm_rate=0.01, now_s=0.0, training_frames=0, training_target_s=1.0
    )
    assert choose(QUIET) is Purpose.TRAINING
    assert choose(BURST) is Purpose.EVIDENCE
