"""What a demo counts as normal, as anomalous, and as found."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.lte.anomalies.timetable import KINDS, Anomaly
from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.spectrogram.scoring import STANDING_WINDOWS
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.inspection import Inspection
from observer_agent.detection.pipeline import FrameBatch, Run
from operator_console.demo.figures import (
    GUARD_S,
    WINDOW_S,
    CellFigures,
    Inspected,
    Share,
    anomalous_windows,
    clean_frames,
    normal_windows,
    read_inspected,
    share,
)
from operator_console.demo.plan import BURST_S, bursts
from operator_console.demo.report import write_report
from operator_console.demo.simulated import simulated_plan
from operator_console.demo.stages import DemoResult

STRIDE = 25


def _stream(seconds: float, flagged: tuple[int, ...] = (), runs: tuple[int, ...] = (0,)) -> Inspected:
    """Return a stream whose windows stand a quarter of their length apart."""
    frames = round(seconds / FRAME_SECONDS)
    firsts = np.arange(0, frames - 124, STRIDE)
    anomalous = np.zeros(len(firsts), np.bool_)
    anomalous[list(flagged)] = True
    return Inspected(
        frames=np.zeros((frames, 128), np.uint8),
        run_first_frames=np.array(runs, np.int64),
        first_frames=firsts,
        stream_s=(firsts * FRAME_SECONDS).astype(np.float64),
        error_db=np.ones(len(firsts)),
        score="error",
        threshold=2.0,
        anomalous=anomalous,
        serials=np.ones(len(firsts), np.int64),
        predicted=np.zeros((len(firsts), 25, 128), np.uint8),
    )


@given(start_s=st.floats(0.1, 1.0), length_s=st.floats(0.001, 0.3))
def test_no_window_is_both_normal_and_anomalous(start_s: float, length_s: float) -> None:
    stream = _stream(1.5)
    burst = Anomaly("power-3db", start_s, start_s + length_s, 0.0)
    assert not (normal_windows(stream, [burst]) & anomalous_windows(stream, [burst])).any()


@given(start_s=st.floats(0.1, 1.0), length_s=st.floats(0.001, 0.3))
def test_a_normal_window_shares_no_frame_with_an_anomaly(start_s: float, length_s: float) -> None:
    stream = _stream(1.5)
    stop_s = start_s + length_s
    normal = normal_windows(stream, [Anomaly("power-3db", start_s, stop_s, 0.0)])
    for first_s in stream.stream_s[normal]:
        frames_s = first_s + np.arange(126) * FRAME_SECONDS
        assert not ((frames_s > start_s - GUARD_S / 2) & (frames_s < stop_s + GUARD_S / 2)).any()


def test_a_normal_window_looks_back_on_no_window_that_shared_a_frame_with_an_anomaly() -> None:
    stream = _stream(1.5)
    burst = Anomaly("power-3db", 0.5, 0.52, 0.0)
    normal = normal_windows(stream, [burst])
    seen = (stream.stream_s < 0.52) & (stream.stream_s + WINDOW_S > 0.5)
    for window in np.flatnonzero(normal):
        assert not seen[max(0, window - STANDING_WINDOWS + 1) : window + 1].any()
    assert normal.sum() >= len(normal) - seen.sum() - STANDING_WINDOWS - 2


def test_only_windows_that_predict_inside_a_burst_count_as_anomalous() -> None:
    stream = _stream(1.0)
    found = stream.stream_s[anomalous_windows(stream, [Anomaly("down-33", 0.5, 0.52, -30.0)])]
    assert len(found) > 0
    assert all(first_s + 100 * FRAME_SECONDS >= 0.5 and first_s + WINDOW_S <= 0.52 for first_s in found)


def test_a_share_counts_over_all_observers() -> None:
    one, other = _stream(1.0, flagged=(0, 1)), _stream(1.0, flagged=(2,))
    everything = np.ones(len(one.first_frames), np.bool_)
    found = share([(one, everything), (other, everything)])
    assert (found.flagged, found.windows) == (3, 2 * len(one.first_frames))
    assert found.rate == pytest.approx(3 / found.windows)


def test_clean_frames_end_where_anomalies_may_begin_or_the_stream_breaks() -> None:
    assert len(clean_frames(_stream(1.0), clean_s=0.5)) == round(0.5 / FRAME_SECONDS)
    assert len(clean_frames(_stream(1.0, runs=(0, 700)), clean_s=0.5)) == 700


def test_the_figures_come_from_what_the_agent_itself_wrote(tmp_path: Path) -> None:
    inspection = Inspection(tmp_path)
    codes = np.random.default_rng(1).integers(0, 256, (300, 128), np.uint8)
    scores = {"band": np.array([7, np.nan], np.float32), "error": np.array([1.5, np.inf], np.float32)}
    windows = ScoredWindows(
        model="models/m",
        serial=4,
        first_frames=np.array([0, 25]),
        error_db=scores["error"],
        score="band",
        scores=scores,
        threshold=6.5,
        false_alarm_rate=0.01,
        anomalous=np.array([True, False]),
        predicted=np.full((2, 25, 128), 9.4, np.float32),
    )
    inspection.write(FrameBatch(codes, 0, Run(0, 0, 1e6), 0.0, 4, windows))
    inspection.close()
    read = read_inspected(tmp_path)
    np.testing.assert_array_equal(read.frames, codes)
    assert (read.score, read.threshold, read.anomalous.tolist()) == ("band", 6.5, [True, False])
    assert (read.error_db.tolist(), read.serials.tolist()) == ([1.5, float("inf")], [4, 4])
    assert np.unique(read.predicted).tolist() == [9]


def test_a_report_says_which_student_was_not_released_and_by_which_score_windows_were_judged(tmp_path: Path) -> None:
    plan = simulated_plan(tmp_path)
    figures = CellFigures(
        cell="cells/oak",
        band="bands/b880",
        teacher="models/t",
        student="models/s",
        serial=1,
        observers=3,
        training_s=18.0,
        teacher_error_db=2.8,
        student_error_db=2.9,
        evaluated_windows=100,
        order_to_active_s=3.0,
        score="combined",
        threshold=3.456,
        stated_false_alarm_rate=0.01,
        false_alarms=Share(1, 100),
        detection=dict.fromkeys(plan.kinds, Share(1, 2)),
        anomalies_reported=5,
        remark="2.90 dB is not below 2.80 dB: not released",
    )
    inspected = {observer.id: _stream(0.1) for observer in plan.observers}
    write_report(DemoResult(plan, (figures,), {"Measuring": 1.0}, inspected), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<li>cells/oak: 2.90 dB is not below 2.80 dB: not released.</li>" in page
    assert "3.46 (combined)" in page


@given(first_s=st.floats(0, 10), length_s=st.floats(0.1, 2))
def test_bursts_stay_inside_their_time_and_apart(first_s: float, length_s: float) -> None:
    made = bursts("ofdm-1mhz", first_s, first_s + length_s, 0.0)
    assert made[0].start_s == first_s
    assert made[-1].stop_s <= first_s + length_s + 1e-9
    assert all(later.start_s - earlier.stop_s > BURST_S for earlier, later in pairwise(made))


def test_the_simulated_plan_has_two_bands_with_two_cells_and_every_mobility_in_each(tmp_path: Path) -> None:
    plan = simulated_plan(tmp_path)
    assert [sum(cell.band_id == band.id for cell in plan.cells) for band in plan.bands] == [2, 2]
    for cell in plan.cells:
        assert {observer.mobility for observer in plan.observers_of(cell)} == {"static", "walking", "driving"}
    assert plan.kinds == KINDS
    assert min(burst.start_s for burst in plan.timetable) >= plan.clean_s
