"""What is read off an event: its box in frequency, its kind and its severity."""

import itertools
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.lte.anomalies.kinds import DOWN_SHARES, KEYED_WIDTH_HZ, KINDS, OFDM_WIDTHS_HZ, silent_stretches_hz
from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig
from bandwatch.spectrogram.bands import FRAME_BINS, Band
from bandwatch.spectrogram.samples import decode_samples
from observer_agent.detection.event_shapes import Evidence, Normal, Shape, severity_of, shape_of
from observer_agent.detection.normal_maps import BLOCK_WINDOWS, NormalMaps, RunningMoments
from observer_agent.receivers.recording import SigmfRecording
from tests.unit.observer_agent.followed_events import Drill

FLAT = np.zeros(FRAME_BINS)
ONES = np.ones(FRAME_BINS)
NORMAL: Final = Normal(FLAT, 2 * ONES, FLAT - 80, 4 * ONES, 0.5 * ONES, common=0.5, uneven=4.0)
CARRIER_HZ: Final = 881.5e6


def evidence_of(first: int, last: int, excess_db: float) -> Evidence:
    excess = np.zeros(FRAME_BINS)
    excess[first : last + 1] = excess_db
    common = float(np.median(excess))
    uneven = float(np.square(excess - common).mean())
    return Evidence(excess, 5, 0.1 * excess, excess - 80, common=common**2, uneven=uneven)


@given(st.integers(0, 120), st.integers(3, 100), st.sampled_from([-20.0, 8.0, 20.0]))
def test_the_box_is_the_stretch_of_bins_that_is_off(first: int, count: int, excess_db: float) -> None:
    last = min(first + count, FRAME_BINS) - 1
    seen = shape_of(NORMAL, evidence_of(first, last, excess_db))
    assert abs(seen.first_bin - first) <= 1
    assert abs(seen.last_bin - last) <= 1
    expected = excess_db * (last - first + 1) / (seen.last_bin - seen.first_bin + 1)
    assert seen.excess_db == pytest.approx(expected, rel=0.35)
    share = seen.share
    assert seen.kind == (
        "outage" if excess_db < 0 else "narrowband" if share < 1 / 12 else "partial" if share <= 0.75 else "wide"
    )
    assert 0.5 < seen.confidence <= 1


@pytest.mark.parametrize("jump_db", [-4.0, 4.0])
def test_a_band_that_moves_as_one_is_a_step_of_power(jump_db: float) -> None:
    level = FLAT - 80 + jump_db
    seen = shape_of(NORMAL, Evidence(FLAT + jump_db, 5, FLAT, level, common=jump_db**2, uneven=4.0))
    assert (seen.kind, seen.first_bin, seen.last_bin) == ("power_step", 0, FRAME_BINS - 1)
    assert seen.excess_db == pytest.approx(jump_db)


@pytest.mark.parametrize(
    ("excess_db", "bins", "duration_s", "severity"),
    [
        (3.0, 10, 1.0, "low"),
        (7.0, 10, 1.0, "medium"),
        (3.0, 60, 1.0, "medium"),
        (3.0, 10, 11.0, "medium"),
        (16.0, 10, 1.0, "medium"),
        (16.0, 60, 1.0, "high"),
        (-20.0, 128, 60.0, "high"),
    ],
)
def test_severity_is_of_excess_width_and_duration(
    excess_db: float, bins: int, duration_s: float, severity: str
) -> None:
    assert severity_of(Shape(0, bins - 1, "partial", 0.9, excess_db), duration_s) == severity


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12))
def test_running_moments_are_those_of_everything_heard(parts: list[int]) -> None:
    rows = np.random.default_rng(sum(parts)).normal(3.0, 2.0, (sum(parts), 4))
    moments = RunningMoments(4, memory=1000)
    for part in np.split(rows, np.cumsum(parts)[:-1]):
        moments.hear(part)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0))
    np.testing.assert_allclose(moments.deviation, rows.std(axis=0), atol=1e-9)


def test_what_is_normal_is_learnt_from_windows_and_from_means_over_many() -> None:
    random = np.random.default_rng(1)
    residual, level = random.normal(0.5, 2.0, (3200, FRAME_BINS)), random.normal(-70, 8.0, (3200, FRAME_BINS))
    maps = NormalMaps()
    for part in np.array_split(np.arange(3200), 211):
        maps.hear(residual[part], level[part])
    normal = maps.normal(FLAT)
    np.testing.assert_allclose(normal.residual_deviation, 2.0, rtol=0.1)
    np.testing.assert_allclose(normal.level_deviation, 8.0 / np.sqrt(BLOCK_WINDOWS), rtol=0.3)
    np.testing.assert_allclose(normal.level, level.mean(axis=0))


def truth_hz(kind: str, offset_hz: float, width_hz: float) -> tuple[float, float]:
    """Return where an anomaly is, counted from the centre of the band."""
    if kind in DOWN_SHARES:
        return silent_stretches_hz(DOWN_SHARES[kind], offset_hz, width_hz)[0]
    if kind.startswith("power"):
        return -width_hz / 2, width_hz / 2
    width = OFDM_WIDTHS_HZ.get(kind, KEYED_WIDTH_HZ)
    return max(-width_hz / 2, offset_hz - width / 2), min(width_hz / 2, offset_hz + width / 2)


def kind_of(anomaly: str, low_hz: float, high_hz: float, width_hz: float) -> str:
    """Return the word for an anomaly between two frequencies of a band."""
    if anomaly in DOWN_SHARES:
        return "outage"
    if anomaly.startswith("power"):
        return "power_step"
    share = (high_hz - low_hz) / width_hz
    return "narrowband" if share < 1 / 12 else "partial" if share <= 0.75 else "wide"


@dataclass(frozen=True)
class Seen:
    """One anomaly that was looked at: what it is, what it was taken for, and what the boxes have in common."""

    anomaly: str
    true: str
    found: str
    common: float


def table(seen: list[Seen], title: str) -> str:
    """Return how often each anomaly was taken for what, and the least and the middle that boxes have in common."""
    lines = [title]
    for anomaly in KINDS:
        of_it = [one for one in seen if one.anomaly == anomaly]
        counts = dict(Counter(one.found for one in of_it))
        common = [one.common for one in of_it]
        boxes = f"boxes in common {min(common):.0%} or more, {np.median(common):.0%} in the middle"
        lines.append(f"  {anomaly:12s} {of_it[0].true:10s} taken for {counts}, {boxes}")
    return "\n".join(lines)


def look_at(drills: list[Drill], offset_hz: float) -> list[Seen]:
    """Look at every kind of anomaly, at 10 dB above the cell or with a floor far below it, in each of the streams."""
    seen = []
    for drill, anomaly in itertools.product(drills, KINDS):
        width_hz = drill.band.width_hz
        offset = {"ofdm-5mhz": 0.0, "down-33": 0.4 * width_hz, "down-66": 0.0, "down-100": 0.0}.get(anomaly, offset_hz)
        found = drill.shape_of(anomaly, -40.0 if anomaly in DOWN_SHARES else 10.0, offset)
        low, high = truth_hz(anomaly, offset, width_hz)
        true = kind_of(anomaly, low, high, width_hz)
        seen.append(Seen(anomaly, true, found.shape.kind, drill.overlap(found, low, high)))
    return seen


@pytest.mark.slow
def test_kinds_and_boxes_of_anomalies_in_a_simulated_cell(capsys: pytest.CaptureFixture[str]) -> None:
    drills = []
    for seed in range(2):
        channel = ChannelConfig(mobility="static", signal_to_noise_db=30.0, carrier_hz=CARRIER_HZ)
        cell = SimulatedCell(CellConfig(cell_identity=5, resource_blocks=25, load=0.5), channel, seed)
        iq = cell.read(round(2.5 * cell.sample_rate_hz))
        drills.append(Drill(iq, cell.sample_rate_hz, 2.0, Band(CARRIER_HZ, 5e6)))
    seen = look_at(drills, 0.5e6)
    with capsys.disabled():
        print("\n" + table(seen, "simulated cell"))  # noqa: T201 - the table is what a reader looks for
    assert np.mean([one.true == one.found for one in seen]) >= 0.75
    assert np.median([one.common for one in seen if one.anomaly in OFDM_WIDTHS_HZ]) >= 0.8


@pytest.mark.recordings
@pytest.mark.slow
def test_kinds_and_boxes_of_anomalies_in_recordings(recordings_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drills = []
    for path in sorted(recordings_dir.glob("cell-26*.sigmf-meta")):
        receiver = SigmfRecording(path)
        blocks = list(receiver.blocks(threading.Event()))
        iq = np.concatenate([decode_samples(block.raw, block.datatype) for block in blocks])
        width_hz = min(5e6, receiver.sample_rate_hz)
        start_s = 0.7 * len(iq) / receiver.sample_rate_hz
        drills.append(Drill(iq, receiver.sample_rate_hz, start_s, Band(receiver.center_hz, width_hz)))
    seen = look_at(drills, 0.2e6)
    with capsys.disabled():
        print("\n" + table(seen, f"{len(drills)} recordings"))  # noqa: T201 - the table is what a reader looks for
    assert np.mean([one.true == one.found for one in seen]) >= 0.75
    assert np.median([one.common for one in seen]) >= 0.8
