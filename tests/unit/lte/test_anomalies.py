"""Anomalies in white noise, in a simulated cell and in a recording: their power, their width and their times."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.timetable import KINDS, Anomaly, AnomalyMixer, parse_timetable
from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig

RATE_HZ = 7.68e6
WIDTHS_HZ = {
    "ofdm-5mhz": 5e6,
    "ofdm-3mhz": 3e6,
    "ofdm-2mhz": 2e6,
    "ofdm-1mhz": 1e6,
    "qpsk-200khz": 200e3,
    "bpsk-200khz": 200e3,
}


def white(seconds: float, rate_hz: float = RATE_HZ) -> NDArray[np.complex64]:
    """Return white noise of a mean power of 0.02."""
    parts = np.random.default_rng(8).standard_normal(2 * round(seconds * rate_hz), np.float32)
    return (0.1 * parts).view(np.complex64)


def mixed(iq: NDArray[np.complex64], anomaly: Anomaly, rate_hz: float = RATE_HZ) -> NDArray[np.complex64]:
    """Return samples with one anomaly in a band of 5 MHz."""
    return AnomalyMixer([anomaly], rate_hz, seed=3, band_width_hz=5e6).mix(iq, 0)


def power_db(samples: NDArray[np.complex64]) -> float:
    """Return the mean power in dB."""
    return 10 * math.log10(np.mean(np.abs(samples) ** 2))


def density(samples: NDArray[np.complex64], rate_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return frequencies in rising order and the power density at each."""
    frequency, values = scipy.signal.welch(samples, rate_hz, nperseg=4096, detrend=False, return_onesided=False)
    return np.fft.fftshift(frequency), np.fft.fftshift(values)


@pytest.mark.parametrize("ratio_db", [-20.0, 3.0])
@pytest.mark.parametrize("kind", WIDTHS_HZ)
def test_interference_has_the_ratio_the_width_and_the_place_asked_for(kind: str, ratio_db: float) -> None:
    iq = white(0.12)
    offset_hz = 600e3
    added = (mixed(iq, Anomaly(kind, 0.02, 0.12, ratio_db, offset_hz)) - iq)[round(0.02 * RATE_HZ) :]
    assert power_db(added) - power_db(iq) == pytest.approx(ratio_db, abs=0.5)
    frequency, values = density(added, RATE_HZ)
    inside = frequency[values > values.max() / 20]
    assert inside[-1] - inside[0] == pytest.approx(WIDTHS_HZ[kind], rel=0.1)
    assert (inside[-1] + inside[0]) / 2 == pytest.approx(offset_hz, abs=20e3)


def test_ofdm_wider_than_the_sample_rate_fills_it_at_the_ratio_asked_for() -> None:
    iq = white(0.12, 1.92e6)
    added = (mixed(iq, Anomaly("ofdm-5mhz", 0.02, 0.12, -10), 1.92e6) - iq)[round(0.02 * 1.92e6) :]
    assert power_db(added) - power_db(iq) == pytest.approx(-10, abs=0.5)
    _, values = density(added, 1.92e6)
    assert values.min() > values.mean() / 3


@pytest.mark.parametrize(("kind", "moment"), [("bpsk-200khz", 2), ("qpsk-200khz", 4)])
def test_keyed_interference_has_its_number_of_phases(kind: str, moment: int) -> None:
    iq = white(0.12)
    added = (mixed(iq, Anomaly(kind, 0.02, 0.12, 0)) - iq)[round(0.02 * RATE_HZ) :]
    normal = added / np.sqrt(np.mean(np.abs(added) ** 2))
    for power in (1, 2, 4):
        aligned = abs(np.mean(normal**power))
        assert (aligned > 0.3) == (power >= moment)


def test_the_ratio_is_to_the_mean_power_that_a_cell_had_before() -> None:
    cell = SimulatedCell(CellConfig(7, 6), ChannelConfig("static", 20, 880e6), seed=2)
    iq = cell.read(round(0.4 * cell.sample_rate_hz))
    start = round(0.25 * cell.sample_rate_hz)
    added = mixed(iq, Anomaly("ofdm-1mhz", 0.25, 0.4, -6), cell.sample_rate_hz) - iq
    assert not added[:start].any()
    assert power_db(added[start:]) - power_db(iq[:start]) == pytest.approx(-6, abs=0.5)


@pytest.mark.parametrize(("kind", "share"), [("down-33", 0.33), ("down-66", 0.66), ("down-100", 1.0)])
def test_a_share_of_the_band_falls_to_the_floor_and_the_rest_stays(kind: str, share: float) -> None:
    changed = mixed(white(0.1), Anomaly(kind, 0.01, 0.1, -15))[round(0.011 * RATE_HZ) :]
    frequency, values = density(changed, RATE_HZ)
    edge_hz, guard_hz = -2.5e6 + share * 5e6, 40e3
    silent = (frequency > -2.5e6 + guard_hz) & (frequency < edge_hz - guard_hz)
    alive = (frequency < -2.5e6 - guard_hz) | (frequency > edge_hz + guard_hz)
    floor = 0.02 * 10 ** (-15 / 10) / 5e6
    assert 10 * math.log10(values[silent].mean() / floor) == pytest.approx(0, abs=0.5)
    assert 10 * math.log10(values[silent].max() / floor) < 2
    assert 10 * math.log10(values[alive].mean() * RATE_HZ / 0.02) == pytest.approx(0, abs=0.2)


def test_an_outage_moved_past_the_upper_edge_goes_on_from_the_lower() -> None:
    changed = mixed(white(0.1), Anomaly("down-66", 0.01, 0.1, -30, offset_hz=2.5e6))[round(0.011 * RATE_HZ) :]
    frequency, values = density(changed, RATE_HZ)
    silent_hz = frequency[values < values.max() / 30]
    assert silent_hz.min() == pytest.approx(-2.5e6, abs=40e3)
    assert silent_hz.max() == pytest.approx(2.5e6, abs=40e3)
    assert not ((silent_hz > -0.8e6) & (silent_hz < -0.05e6)).any()


def test_a_band_that_is_the_whole_sample_rate_can_fall_silent_to_the_last_bin() -> None:
    iq = white(0.05, 1.92e6)
    changed = AnomalyMixer([Anomaly("down-100", 0.01, 0.05, -20)], 1.92e6, seed=3).mix(iq, 0)
    assert power_db(changed[round(0.011 * 1.92e6) :]) == pytest.approx(power_db(iq) - 20, abs=0.3)


@pytest.mark.parametrize(("kind", "step_db"), [("power-3db", 3), ("power-5db", 5)])
def test_the_power_steps_up_and_down_every_12_8_ms(kind: str, step_db: float) -> None:
    iq = white(0.08)
    changed = mixed(iq, Anomaly(kind, 0.01, 0.08, 0))
    step = round(12.8e-3 * RATE_HZ)
    start = round(0.01 * RATE_HZ)
    for number in range(5):
        piece = slice(start + number * step, start + (number + 1) * step)
        expected = step_db if number % 2 == 0 else 0
        assert power_db(changed[piece]) - power_db(iq[piece]) == pytest.approx(expected, abs=0.01)


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(KINDS), cuts=st.lists(st.integers(0, 20_000), max_size=8))
def test_any_split_of_the_stream_gives_the_same_samples(kind: str, cuts: list[int]) -> None:
    rate_hz = 1e6
    iq = white(0.02, rate_hz)
    timetable = [Anomaly(kind, 0.0031, 0.008, -6), Anomaly(kind, 0.008, 0.015, 0, 100e3)]
    whole = AnomalyMixer(timetable, rate_hz, seed=3).mix(iq, 0)
    mixer = AnomalyMixer(timetable, rate_hz, seed=3)
    edges = [0, *sorted(cuts), len(iq)]
    pieces = [mixer.mix(iq[start:stop], start) for start, stop in pairwise(edges)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_anomaly_changes_nothing_outside_its_time_and_leaves_its_input_alone(kind: str) -> None:
    iq = white(0.03, 1e6)
    kept = iq.copy()
    changed = AnomalyMixer([Anomaly(kind, 0.01, 0.02, -3)], 1e6, seed=3).mix(iq, 0)
    np.testing.assert_array_equal(iq, kept)
    np.testing.assert_array_equal(changed[:10_000], iq[:10_000])
    np.testing.assert_array_equal(changed[20_000:], iq[20_000:])
    assert not np.array_equal(changed[10_000:20_000], iq[10_000:20_000])
    assert changed.dtype == np.complex64


def test_when_nothing_is_due_the_same_array_comes_back() -> None:
    mixer = AnomalyMixer([Anomaly("ofdm-1mhz", 0.02, 0.03, 0)], 1e6, seed=3)
    before, after = white(0.01, 1e6), white(0.01, 1e6)
    assert mixer.mix(before, 0) is before
    assert mixer.mix(after, 40_000) is after
    assert AnomalyMixer([], 1e6, seed=3).mix(before, 0) is before


def test_interference_goes_on_unheard_through_a_gap() -> None:
    iq = white(0.03, 1e6)
    timetable = [Anomaly("qpsk-200khz", 0.005, 0.03, 0)]
    whole = AnomalyMixer(timetable, 1e6, seed=3).mix(iq, 0)
    mixer = AnomalyMixer(timetable, 1e6, seed=3)
    mixer.mix(iq[:10_000], 0)
    np.testing.assert_allclose(mixer.mix(iq[20_000:], 20_000), whole[20_000:], atol=1e-6)


def test_an_anomaly_at_the_very_beginning_is_measured_against_its_own_samples() -> None:
    iq = white(0.01, 1e6)
    added = AnomalyMixer([Anomaly("ofdm-1mhz", 0, 0.01, -3)], 1e6, seed=3).mix(iq, 0) - iq
    assert power_db(added) - power_db(iq) == pytest.approx(-3, abs=0.5)


def test_old_power_is_forgotten() -> None:
    iq = white(3.0, 1e5)
    iq[:100_000] *= np.float32(10)
    added = AnomalyMixer([Anomaly("ofdm-1mhz", 2.9, 3.0, 0)], 1e5, seed=3).mix(iq, 0) - iq
    assert power_db(added[290_000:]) == pytest.approx(power_db(iq[200_000:]), abs=0.5)


@pytest.mark.recordings
def test_interference_can_be_mixed_into_a_recording(recordings_dir: Path) -> None:
    raw = np.fromfile(recordings_dir / "cell-2645a-2645.0.sigmf-data", np.uint8, count=2 * 960_000)
    iq = ((raw.astype(np.float32) - 127.5) / 127.5).view(np.complex64)
    added = mixed(iq, Anomaly("qpsk-200khz", 0.25, 0.5, -10, 300e3), 1.92e6) - iq
    assert power_db(added[480_000:]) - power_db(iq[:480_000]) == pytest.approx(-10, abs=0.5)


@pytest.mark.parametrize(
    ("kind", "start_s", "stop_s", "ratio_db"),
    [
        ("ofdm-9mhz", 0, 1, 0),
        ("ofdm-1mhz", 1, 1, 0),
        ("ofdm-1mhz", -1, 1, 0),
        ("ofdm-1mhz", 0, math.inf, 0),
        ("ofdm-1mhz", 0, 1, math.nan),
    ],
)
def test_an_impossible_anomaly_is_refused(kind: str, start_s: float, stop_s: float, ratio_db: float) -> None:
    with pytest.raises(InvalidArgumentError):
        Anomaly(kind, start_s, stop_s, ratio_db)


def test_anomalies_that_overlap_are_refused() -> None:
    timetable = [Anomaly("ofdm-1mhz", 2, 3, 0), Anomaly("power-3db", 1, 2.5, 0)]
    with pytest.raises(InvalidArgumentError, match="overlap"):
        AnomalyMixer(timetable, RATE_HZ, seed=3)


def test_interference_outside_of_the_sample_rate_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="move it nearer"):
        AnomalyMixer([Anomaly("qpsk-200khz", 1, 2, 0, offset_hz=2e6)], 1.92e6, seed=3)


@pytest.mark.parametrize(("rate_hz", "width_hz"), [(0.0, None), (math.nan, None), (math.inf, None), (1e6, -5e6)])
def test_an_impossible_sample_rate_or_band_is_refused(rate_hz: float, width_hz: float | None) -> None:
    with pytest.raises(InvalidArgumentError, match="positive numbers"):
        AnomalyMixer([], rate_hz, seed=3, band_width_hz=width_hz)


def test_a_timetable_is_read_from_a_list_of_objects() -> None:
    data = [
        {"kind": "ofdm-1mhz", "start_s": 2, "stop_s": 3.5, "ratio_db": -10, "offset_hz": 1e6},
        {"kind": "down-33", "start_s": 5, "stop_s": 6, "ratio_db": -20},
        {"kind": "power-5db", "start_s": 7, "stop_s": 8},
    ]
    assert parse_timetable(data) == (
        Anomaly("ofdm-1mhz", 2, 3.5, -10, 1e6),
        Anomaly("down-33", 5, 6, -20),
        Anomaly("power-5db", 7, 8, 0),
    )
    assert parse_timetable([]) == ()


GOOD = {"kind": "ofdm-1mhz", "start_s": 2, "stop_s": 3, "ratio_db": -10}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"kind": "ofdm-1mhz"}, "a timetable is a list"),
        (None, "a timetable is a list"),
        ([GOOD, 7], "entry 2 of the timetable is no object"),
        ([{"kind": "ofdm-1mhz", "start_s": 2, "stop_s": 3}], "entry 1 of the timetable lacks ratio_db"),
        ([GOOD, {**GOOD, "place": 3}], "entry 2 of the timetable has place, which nothing reads"),
        ([{**GOOD, "start_s": "2"}], "has '2' for start_s: write a number"),
        ([{**GOOD, "stop_s": True}], "has True for stop_s: write a number"),
        ([{**GOOD, "kind": ["ofdm-1mhz"]}], "no kind of anomaly"),
        ([{**GOOD, "stop_s": 1}], "entry 1 of the timetable: an anomaly ofdm-1mhz .* no duration"),
    ],
)
def test_a_faulty_timetable_is_refused_with_the_place_of_the_fault(data: object, sentence: str) -> None:
    with pytest.raises(InvalidArgumentError, match=sentence):
        parse_timetable(data)
