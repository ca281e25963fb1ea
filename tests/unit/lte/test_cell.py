"""The received stream: its level, its noise, its rhythm, and that it is one stream however it is read."""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import FrameMaker
from bandwatch.spectrogram.samples import decode_samples

STATIC = ChannelConfig("static", signal_to_noise_db=20, carrier_hz=880e6)
SMALL = CellConfig(cell_identity=7, resource_blocks=6)
BLOCK_SAMPLES = 76_800
CELLS: list[dict[str, Any]] = [
    {},
    {"duplex": "tdd", "ports": 2},
    {"mbsfn_subframes": frozenset({1, 6}), "almost_blank_subframes": "0010000000" * 4},
]


def frames_of(cell: SimulatedCell, seconds: float, width_hz: float) -> NDArray[np.float32]:
    """Return frames [n, 128] in dB."""
    maker = FrameMaker(Band(1e9, width_hz), cell.sample_rate_hz, 1e9)
    return np.concatenate([maker.push(cell.read(int(cell.sample_rate_hz / 10))) for _ in range(round(seconds * 10))])


def correlation(level: NDArray[np.float64], milliseconds: float) -> float:
    """Return how a level correlates with itself after a time, at the best of three neighbouring lags."""
    middle = round(milliseconds * 1e-3 / FRAME_SECONDS)
    return max(float(np.corrcoef(level[:-lag], level[lag:])[0, 1]) for lag in range(middle - 1, middle + 2))


def spectra(samples: NDArray[np.complex64], size: int) -> NDArray[np.complex128]:
    """Return the Fourier sums [slots, 7, size] of the OFDM symbols in samples that begin with a frame."""
    slots = samples.reshape(-1, size * 15 // 2)
    starts = [160 * size // 2048 + symbol * (size + 144 * size // 2048) for symbol in range(7)]
    return np.stack([np.fft.fft(slots[:, start : start + size]) for start in starts], axis=1) / size


@pytest.mark.parametrize("signal_to_noise_db", [0, 10, 25])
@pytest.mark.parametrize(("resource_blocks", "size"), [(6, 128), (25, 512)])
def test_level_and_signal_to_noise_ratio_are_those_asked_for(
    signal_to_noise_db: float, resource_blocks: int, size: int
) -> None:
    # So high a carrier makes the slow fading of a static observer fast enough to average over.
    way = ChannelConfig("static", signal_to_noise_db, carrier_hz=100e9, level_dbfs=-25)
    cell = SimulatedCell(CellConfig(7, resource_blocks), way, seed=1)
    seconds = 2 if resource_blocks == 6 else 0.8
    powers = np.abs(spectra(cell.read(int(cell.sample_rate_hz * seconds)), size)) ** 2
    noise = powers[:, :, 6 * resource_blocks + 1 : -6 * resource_blocks].mean()
    half = 6 * resource_blocks
    reference = np.concatenate([powers[:, 0, -half:], powers[:, 0, 1 : half + 1]], axis=1)[:, 7 % 6 :: 6].mean()
    signal = reference - noise
    assert 10 * math.log10(signal / noise) == pytest.approx(signal_to_noise_db, abs=0.5)
    assert 10 * math.log10(signal * 2 * half) == pytest.approx(-25, abs=0.5)


def test_two_ports_together_have_the_level_of_one() -> None:
    way = ChannelConfig("static", 20, carrier_hz=100e9, level_dbfs=-25)
    powers = []
    for ports in (1, 2):
        cell = SimulatedCell(CellConfig(7, 6, ports=ports), way, seed=1)
        samples = spectra(cell.read(int(cell.sample_rate_hz * 2)), 128).reshape(-1, 10, 14, 128)
        broadcast = samples[:, 0, 9:11][..., [*range(-36, 0), *range(1, 37)]]
        powers.append(float(np.mean(np.abs(broadcast) ** 2)))
    assert 10 * math.log10(powers[1] / powers[0]) == pytest.approx(0, abs=0.5)


def test_the_ports_of_a_cell_fade_each_for_itself_at_one_speed_and_under_one_shadow() -> None:
    way = ChannelConfig("driving", 60, carrier_hz=880e6, shadowing_db=8)
    cell = SimulatedCell(CellConfig(7, 6, load=0, ports=2), way, seed=3)
    powers = np.abs(spectra(cell.read(int(cell.sample_rate_hz * 6)), 128)[:, 0]) ** 2
    first, second = powers[:, 1:37][:, 7 % 6 :: 6], powers[:, 1:37][:, (7 + 3) % 6 :: 6]
    fast = np.corrcoef(first[:1000, 0], second[:1000, 0])[0, 1]
    slow = np.corrcoef(*(np.log(port.reshape(24, -1).mean(axis=1)) for port in (first, second)))[0, 1]
    assert abs(fast) < 0.4
    assert slow > 0.7


@pytest.mark.parametrize("changes", CELLS)
@pytest.mark.parametrize("load", [0.0, 0.5, 1.0])
def test_frames_repeat_every_10_ms_at_every_load(load: float, changes: dict[str, Any]) -> None:
    frames = frames_of(SimulatedCell(CellConfig(7, 6, load, **changes), STATIC, seed=3), 2, 1.92e6)
    quick = np.diff(frames.mean(axis=1, dtype=np.float64), 2)
    at_10_ms = correlation(quick, 10)
    assert at_10_ms > 0.5
    assert at_10_ms > max(correlation(quick, milliseconds) for milliseconds in (6, 7, 8, 9, 11, 12, 13, 14))


def test_frames_show_the_synchronisation_every_5_ms() -> None:
    frames = frames_of(SimulatedCell(CellConfig(7, 6, load=0.2), STATIC, seed=3), 2, 1.92e6)
    level = frames.mean(axis=1, dtype=np.float64)
    assert correlation(level, 5) > 0.1 + max(correlation(level, milliseconds) for milliseconds in (3, 4, 6, 7))


@pytest.mark.recordings
def test_a_tdd_cell_changes_from_frame_to_frame_as_real_ones_do(recordings_dir: Path) -> None:
    real = []
    for data in sorted(recordings_dir.glob("cell-*.sigmf-data")):
        meta = json.loads(data.with_suffix(".sigmf-meta").read_text())
        rate_hz, tuned_hz = meta["global"]["core:sample_rate"], meta["captures"][0]["core:frequency"]
        iq = decode_samples(data.read_bytes(), meta["global"]["core:datatype"])
        real.append(FrameMaker(Band(tuned_hz, rate_hz), rate_hz, tuned_hz).push(iq))
    way = ChannelConfig("static", 25, carrier_hz=2.6e9)
    cell = SimulatedCell(CellConfig(7, 6, load=0.1, duplex="tdd", ports=2), way, seed=3)
    every = [*real, frames_of(cell, 1, 1.92e6)]
    changes = [float(np.median(np.abs(np.diff(frames, axis=0)))) for frames in every]
    rhythms = [correlation(frames.mean(axis=1, dtype=np.float64), 10) for frames in every]
    assert min(changes[:-1]) < changes[-1] < max(changes[:-1])
    assert min(rhythms[:-1]) < rhythms[-1] <= 1


def test_the_noise_is_white_and_gaussian() -> None:
    deaf = ChannelConfig("static", signal_to_noise_db=-60, carrier_hz=880e6)
    samples = SimulatedCell(SMALL, deaf, seed=1).read(2 * BLOCK_SAMPLES)
    parts = samples.view(np.float32)
    assert np.mean(parts**4) / np.mean(parts**2) ** 2 == pytest.approx(3, abs=0.05)
    densities = np.mean(np.abs(np.fft.fft(samples.reshape(-1, 128))) ** 2, axis=0)
    np.testing.assert_allclose(densities, densities.mean(), rtol=0.15)


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 3 * BLOCK_SAMPLES), max_size=6),
    mobility=st.sampled_from(["static", "driving"]),
    changes=st.sampled_from(CELLS),
)
def test_any_split_of_reads_gives_the_same_stream(cuts: list[int], mobility: str, changes: dict[str, Any]) -> None:
    way = ChannelConfig(mobility, signal_to_noise_db=20, carrier_hz=880e6)
    config = CellConfig(7, 6, **changes)
    whole = SimulatedCell(config, way, seed=9).read(3 * BLOCK_SAMPLES)
    cell = SimulatedCell(config, way, seed=9)
    pieces = [cell.read(stop - start) for start, stop in pairwise([0, *sorted(cuts), 3 * BLOCK_SAMPLES])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_another_seed_gives_another_stream() -> None:
    first, second = (SimulatedCell(SMALL, STATIC, seed).read(1000) for seed in (1, 2))
    assert not np.array_equal(first, second)


def test_a_stream_is_single_precision_and_what_was_read_stays_the_readers() -> None:
    cell = SimulatedCell(SMALL, STATIC, seed=1)
    first = cell.read(100)
    kept = first.copy()
    cell.read(2 * BLOCK_SAMPLES)
    assert first.dtype == np.complex64
    np.testing.assert_array_equal(first, kept)
    first[:] = 0


@pytest.mark.parametrize(("resource_blocks", "rate_hz"), [(6, 1.92e6), (15, 3.84e6), (25, 7.68e6), (50, 15.36e6)])
def test_each_width_has_its_sample_rate(resource_blocks: int, rate_hz: float) -> None:
    cell = SimulatedCell(CellConfig(7, resource_blocks), STATIC, seed=1)
    assert cell.sample_rate_hz == rate_hz
    assert cell.speed_mps == 0
    assert len(cell.read(10)) == 10


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        SimulatedCell(SMALL, STATIC, seed=1).read(-1)


@pytest.mark.parametrize(
    "config",
    [
        CellConfig(504),
        CellConfig(1, resource_blocks=7),
        CellConfig(1, load=2.0),
        CellConfig(1, ports=4),
        CellConfig(1, duplex="tdd", tdd_configuration=7),
        CellConfig(1, mbsfn_subframes=frozenset({5})),
        CellConfig(1, almost_blank_subframes="0101"),
        CellConfig(1, reference_boost_db=math.nan),
    ],
)
def test_an_impossible_cell_is_refused(config: CellConfig) -> None:
    with pytest.raises(InvalidArgumentError):
        SimulatedCell(config, STATIC, seed=1)
