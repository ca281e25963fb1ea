"""What a demo counts as normal, as anomalous, and as found."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.lte.anomalies import KINDS, Anomaly
from bandwatch.spectrogram.bands import FRAME_SECONDS
from operator_console.demo.figures import (
    GUARD_S,
    WINDOW_S,
    Inspected,
    anomalous_windows,
    clean_frames,
    normal_windows,
    share,
)
from operator_console.demo.plan import BURST_S, bursts
from operator_console.demo.simulated import simulated_plan

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
        threshold_db=np.full(len(firsts), 2.0),
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
