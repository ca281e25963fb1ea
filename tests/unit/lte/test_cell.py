"""The received stream: its level, its noise, and that it is one stream however it is read."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.cell import CellConfig, SimulatedCell
from bandwatch.lte.channel import ChannelConfig

STATIC = ChannelConfig("static", signal_to_noise_db=20, carrier_hz=880e6)
SMALL = CellConfig(cell_identity=7, resource_blocks=6)
BLOCK_SAMPLES = 76_800


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


def test_the_noise_is_white_and_gaussian() -> None:
    deaf = ChannelConfig("static", signal_to_noise_db=-60, carrier_hz=880e6)
    samples = SimulatedCell(SMALL, deaf, seed=1).read(2 * BLOCK_SAMPLES)
    parts = samples.view(np.float32)
    assert np.mean(parts**4) / np.mean(parts**2) ** 2 == pytest.approx(3, abs=0.05)
    densities = np.mean(np.abs(np.fft.fft(samples.reshape(-1, 128))) ** 2, axis=0)
    np.testing.assert_allclose(densities, densities.mean(), rtol=0.15)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 3 * BLOCK_SAMPLES), max_size=6), mobility=st.sampled_from(["static", "driving"]))
def test_any_split_of_reads_gives_the_same_stream(cuts: list[int], mobility: str) -> None:
    way = ChannelConfig(mobility, signal_to_noise_db=20, carrier_hz=880e6)
    whole = SimulatedCell(SMALL, way, seed=9).read(3 * BLOCK_SAMPLES)
    cell = SimulatedCell(SMALL, way, seed=9)
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


@pytest.mark.parametrize("config", [CellConfig(504), CellConfig(1, resource_blocks=7), CellConfig(1, load=2.0)])
def test_an_impossible_cell_is_refused(config: CellConfig) -> None:
    with pytest.raises(InvalidArgumentError):
        SimulatedCell(config, STATIC, seed=1)
