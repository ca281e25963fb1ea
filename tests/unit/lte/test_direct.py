"""The parts of the direct way, each against another formula or against samples."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.level import LevelMeter
from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.lte.direct.anomalies import FrameLevels, FramesWithAnomalies
from bandwatch.lte.direct.bins import FULL_SPECTRUM, BandBins, band_bins
from bandwatch.lte.direct.downlink import DownlinkPowers, downlink_known, downlink_templates
from bandwatch.lte.direct.energy import SymbolPowers
from bandwatch.lte.direct.frames import DirectFrames
from bandwatch.lte.direct.geometry import PERIOD_FRAMES, FrameGeometry, symbol_edges_s
from bandwatch.lte.direct.mean import BLOCK_FRAMES, FramePowers, Heard, MeanFrames
from bandwatch.lte.direct.speckle import Speckle
from bandwatch.lte.direct.way import SteadyWay
from bandwatch.lte.downlink.config import CellConfig
from bandwatch.lte.downlink.plan import Service
from bandwatch.lte.downlink.signal import Downlink
from bandwatch.lte.numerology import Numerology
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker

NARROW, USUAL = (6, 1.92e6), (25, 5e6)
CENTER_HZ = 1e9


def bins_of(resource_blocks: int, width_hz: float, magnitude_variance: float = 0.0) -> BandBins:
    """Return the bins of a band around a carrier."""
    return band_bins(width_hz, Numerology(resource_blocks).sample_rate_hz, magnitude_variance)


def frames_of(samples: NDArray[np.complex64], resource_blocks: int, width_hz: float) -> NDArray[np.float64]:
    """Return frames of samples in power, but for those that hear the silence before."""
    rate_hz = Numerology(resource_blocks).sample_rate_hz
    frames_db = FrameMaker(Band(CENTER_HZ, width_hz), rate_hz, CENTER_HZ).push(samples)
    power: NDArray[np.float64] = 10 ** (frames_db[2:].astype(np.float64) / 10)
    return power


class Repeated:
    """A cell that serves the same again and again."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def next_service(self, subframes: int) -> Service:
        """Return it."""
        assert subframes == len(self._service.kind)
        return self._service


class Fixed:
    """Frames of one signal in noise, over and over."""

    def __init__(self, signal: float, spread: float, noise: float) -> None:
        shape = (BLOCK_FRAMES, FRAME_BINS)
        values = (signal, spread * signal**2, noise)
        self._powers = FramePowers(*(np.full(shape, value, np.float32) for value in values))

    def next_block(self) -> FramePowers:
        """Return them."""
        return self._powers


@pytest.mark.parametrize("width_hz", [1.92e6, 5e6, 4.321e6])
def test_frames_see_what_the_frame_maker_sees(width_hz: float) -> None:
    geometry = FrameGeometry(width_hz)
    starts = np.rint(geometry.starts_s() * width_hz).astype(int)
    for place in range(0, round(geometry.seen_s * width_hz) + 40, 37):
        impulses = np.zeros(starts[20] + 2000, np.complex64)
        impulses[starts[12] + place] = 1
        seen = 10 ** (FrameMaker(Band(CENTER_HZ, width_hz), width_hz, CENTER_HZ).push(impulses)[12].mean() / 10)
        weights = geometry.seen_until(np.array([place, place + 1]) / width_hz)
        # An impulse is white: every bin shows the sum of its squared windows.
        expected = (weights[1] - weights[0]) * FULL_SPECTRUM / FRAME_BINS
        assert seen == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_symbols_begin_where_samples_say() -> None:
    numerology = Numerology(25)
    first, other = numerology.prefixes
    prefixes = np.array([first] + 6 * [other]) / numerology.sample_rate_hz
    begins = numerology.symbol_times_s(64) - np.tile(prefixes, 64)
    np.testing.assert_allclose(symbol_edges_s()[:-1], begins, atol=1e-12)
    assert symbol_edges_s()[-1] == pytest.approx(32e-3)


@pytest.mark.parametrize(("resource_blocks", "width_hz"), [NARROW, USUAL])
def test_one_symbol_alone_brings_what_its_samples_bring(resource_blocks: int, width_hz: float) -> None:
    numerology, bins = Numerology(resource_blocks), bins_of(resource_blocks, width_hz)
    rng, subcarriers, alone = np.random.default_rng(5), slice(20, 32), 100
    mean = np.zeros((118, FRAME_BINS))
    for _ in range(60):
        grid = np.zeros((448, numerology.subcarriers), np.complex64)
        grid[alone, subcarriers] = np.exp(0.5j * np.pi * rng.integers(0, 4, 12))
        samples = numerology.modulate(grid).reshape(-1)
        mean += frames_of(samples, resource_blocks, width_hz)[: len(mean)] * numerology.subcarriers / 60
    whole, cut = (tones.sum(axis=0) for tones in bins.tones(numerology.subcarrier_hz()[subcarriers]))
    expected = np.outer(bins.kernel.whole[2:, alone], whole) + np.outer(bins.kernel.cut[2:, alone], cut)
    seen = np.flatnonzero(bins.kernel.whole[2 : 2 + len(mean), alone] > 0.02)
    assert len(seen)
    for frame in seen:
        assert mean[frame].sum() == pytest.approx(expected[frame].sum(), rel=0.05)
        loud = expected[frame] > expected[frame].max() / 100
        difference_db = 10 * np.log10(mean[frame, loud] / expected[frame, loud])
        assert np.abs(difference_db).mean() < 1.0


@pytest.mark.parametrize("magnitude_variance", [0.0, 0.32])
@pytest.mark.parametrize(("resource_blocks", "width_hz"), [NARROW, USUAL])
def test_a_full_band_fluctuates_as_the_kernel_says(
    resource_blocks: int, width_hz: float, magnitude_variance: float
) -> None:
    numerology, bins = Numerology(resource_blocks), bins_of(resource_blocks, width_hz, magnitude_variance)
    rng = np.random.default_rng(6)
    sizes = np.sqrt([1 - magnitude_variance**0.5, 1 + magnitude_variance**0.5]).astype(np.float32)
    draws = []
    for _ in range(20):
        shape = (448, numerology.subcarriers)
        grid = np.exp(0.5j * np.pi * rng.integers(0, 4, shape)).astype(np.complex64) * rng.choice(sizes, shape)
        draws.append(frames_of(numerology.modulate(grid).reshape(-1), resource_blocks, width_hz)[:110])
    middle = np.stack(draws)[:, :, 70:90]
    relative = middle / middle.mean(axis=0) - 1
    kernel = bins.kernel
    whole, cut = (tones.sum(axis=0)[80] for tones in bins.tones(numerology.subcarrier_hz()))
    by_whole, by_cut = whole * kernel.whole.sum(axis=1), cut * kernel.cut.sum(axis=1)
    variance = kernel.spread.sum(axis=1) * whole**2 + kernel.cut_spread * by_cut**2
    expected = (variance / (by_whole + by_cut) ** 2).mean()
    assert relative.var() * 20 / 19 == pytest.approx(expected, rel=0.15)
    neighbours = (relative[:, :, 1:] * relative[:, :, :-1]).mean() / relative.var()
    assert neighbours == pytest.approx(kernel.neighbours[0], abs=0.06)


@pytest.mark.parametrize(("resource_blocks", "width_hz"), [NARROW, USUAL])
def test_noise_reads_and_fluctuates_as_samples_of_noise(resource_blocks: int, width_hz: float) -> None:
    bins, rate_hz = bins_of(resource_blocks, width_hz), Numerology(resource_blocks).sample_rate_hz
    parts = np.random.default_rng(7).standard_normal(2 * round(1.0 * rate_hz), np.float32)
    frames = frames_of(parts.view(np.complex64), resource_blocks, width_hz)
    expected = bins.noise * (2 / rate_hz * width_hz * FULL_SPECTRUM / FRAME_BINS)
    np.testing.assert_allclose(10 * np.log10(frames.mean(axis=0) / expected), 0, atol=0.25)
    relative = frames[:, 10:118] / frames[:, 10:118].mean(axis=0) - 1
    assert relative.var() == pytest.approx(bins.noise_spread, rel=0.05)


def test_templates_bring_the_energies_of_the_plan() -> None:
    config, bins = CellConfig(11, 6, ports=2, mbsfn_subframes=frozenset({2})), bins_of(*NARROW)
    templates, known = downlink_templates(config, bins), downlink_known(config, bins)
    cell = Downlink(config, np.random.SeedSequence(3))
    service = cell.next_service(40)
    powers = DownlinkPowers(Downlink(config, np.random.SeedSequence(3)), templates, known, None).next_powers(40)
    energies = cell.plan.energies(service).reshape(2, 560, -1)
    for found, tones in zip((powers.whole, powers.cut), bins.tones(Numerology(6).subcarrier_hz()), strict=True):
        np.testing.assert_allclose(found, energies @ tones, rtol=1e-3, atol=1e-5)
    always = cell.plan.fixed[:, service.kind].reshape(2, 560, -1) @ bins.tones(Numerology(6).subcarrier_hz())[0]
    square = powers.whole.sum(axis=0) ** 2 - always.sum(axis=0) ** 2
    np.testing.assert_allclose(powers.random_square, square, rtol=1e-2, atol=1e-3)


def test_drawn_control_regions_are_the_mean_one_in_the_mean() -> None:
    config, bins = CellConfig(11, 6, load=0.9), bins_of(*NARROW)
    templates, known = downlink_templates(config, bins), downlink_known(config, bins)

    cell = Repeated(Downlink(config, np.random.SeedSequence(3)).next_service(40))

    def brought(control: np.random.Generator | None) -> NDArray[np.float32]:
        powers: NDArray[np.float32] = DownlinkPowers(cell, templates, known, control).next_powers(40).whole[0]
        return powers

    drawn = [brought(np.random.default_rng(seed)) for seed in range(200)]
    assert np.std(drawn, axis=0).max() > 0.3
    np.testing.assert_allclose(np.mean(drawn, axis=0), brought(None), atol=0.25)
    other = np.arange(560) % 14 > 3
    np.testing.assert_array_equal(drawn[0][other], drawn[1][other])


def test_known_signals_alone_make_the_very_frames_of_their_samples() -> None:
    config, bins, numerology = CellConfig(11, 6, load=0.0), bins_of(*NARROW), Numerology(6)
    known = downlink_known(config, bins, first_subframe=3)
    cell = Downlink(config, np.random.SeedSequence(3))
    silent = cell.next_service(3)
    cell.grids_of(silent)
    service = cell.next_service(320)
    mean = np.mean(
        [frames_of(numerology.modulate(cell.grids_of(service)[0]).reshape(-1), *NARROW) for _ in range(12)], axis=0
    )

    sender = DownlinkPowers(Repeated(service), downlink_templates(config, bins), known, None)
    way = SteadyWay(lambda times_s: np.full_like(times_s, -10 * np.log10(numerology.subcarriers)))
    found = MeanFrames(bins, [Heard(sender, way)], 1e-12).next_block().mean[2 : 2 + len(mean)]
    # Frames that hold nothing but reference signals are the same each time, to within rounding.
    steady = np.flatnonzero((service.control_share == 0) & (service.blocks.sum(axis=1) == 0) & (service.kind % 4 == 0))
    frames = np.arange(2, 2 + len(mean))
    first, last = (frames * FRAME_SECONDS * 1e3).astype(int), ((frames + 1) * FRAME_SECONDS * 1e3).astype(int)
    numbers = service.kind // 4
    usable = np.isin(first, steady) & np.isin(last, steady) & ~np.isin(numbers[np.minimum(first, 319)], (0, 5))
    assert usable.sum() > 100
    middle = slice(30, 98)
    ratio_db = 10 * np.log10(found[usable, middle] / mean[usable, middle])
    assert np.sqrt(np.mean(ratio_db**2)) < 0.6


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_any_split_of_reads_gives_the_same_frames(cuts: list[int]) -> None:
    bins = bins_of(*NARROW)

    def frames() -> DirectFrames:
        return DirectFrames(Fixed(1e-6, 0.05, 1e-8), Speckle(bins, np.random.SeedSequence(4)))

    whole, split = frames().read(3000), frames()
    pieces = [split.read(stop - start) for start, stop in pairwise([0, *sorted(cuts), 3000])]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert whole.shape == (3000, FRAME_BINS)
    assert whole.dtype == np.uint8


@pytest.mark.parametrize(("spread", "noise"), [(0.02, 1e-9), (0.3, 1e-9), (0.05, 1e-6), (0.0, 1e-4)])
def test_drawn_frames_have_the_mean_the_variance_and_the_neighbours_asked_for(spread: float, noise: float) -> None:
    bins = bins_of(*USUAL)
    powers = Fixed(1e-6, spread, noise).next_block()
    speckle = Speckle(bins, np.random.SeedSequence(4))
    drawn = np.stack([10 ** (speckle.draw_db(powers).astype(np.float64) / 10) for _ in range(4)])
    mean = 1e-6 + noise
    variance = spread * 1e-12 + bins.noise_spread * (2e-6 * noise + noise**2)
    assert drawn.mean() == pytest.approx(mean, rel=0.01)
    assert drawn.var() == pytest.approx(variance, rel=0.05)
    relative = drawn / drawn.mean() - 1
    for distance in (1, 2):
        found = (relative[:, :, distance:] * relative[:, :, :-distance]).mean() / relative.var()
        noisy, signal = ((4 / 9, 1 / 36)[distance - 1], bins.kernel.neighbours[distance - 1])
        assert min(noisy, signal) - 0.05 < found < max(noisy, signal) + 0.05


def test_codes_are_the_decibels_over_the_reference() -> None:
    bins = bins_of(*USUAL)
    codes = DirectFrames(Fixed(1e-6, 1e-6, 1e-12), Speckle(bins, np.random.SeedSequence(4))).read(10)
    np.testing.assert_array_equal(codes, round((-60 - DEFAULT_REFERENCE_DB) * 2))
    louder = DirectFrames(Fixed(1e-6, 1e-6, 1e-12), Speckle(bins, np.random.SeedSequence(4)), reference_db=-100.0)
    np.testing.assert_array_equal(louder.read(10), 80)


def test_a_negative_number_of_frames_is_refused() -> None:
    frames = DirectFrames(Fixed(1e-6, 0.1, 1e-9), Speckle(bins_of(*USUAL), np.random.SeedSequence(4)))
    with pytest.raises(InvalidArgumentError, match="0 or more"):
        frames.read(-1)


def test_a_receiver_without_noise_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="density above 0"):
        MeanFrames(bins_of(*USUAL), [], 0.0)


class Tone:
    """A sender of one steady whole symbol after the other, on two subcarriers' worth of power."""

    def __init__(self, power: float) -> None:
        self.occupied_hz = (-1e6, 1e6)
        self.pattern = np.zeros((1, 1, FRAME_BINS), np.float32)
        self.beats = np.zeros((1, FRAME_BINS), np.complex64)
        self._power = power

    def next_powers(self, subframes: int) -> SymbolPowers:
        """Return the same for all symbols and bins."""
        whole = np.full((1, 14 * subframes, FRAME_BINS), self._power, np.float32)
        return SymbolPowers(whole, np.zeros_like(whole), np.square(whole[0]))


def test_what_two_senders_bring_adds_up_and_beats() -> None:
    bins = bins_of(*USUAL)
    steady = SteadyWay(np.zeros_like)
    one, other = Heard(Tone(2e-6), steady), Heard(Tone(5e-6), steady)
    alone = [MeanFrames(bins, [heard], 1e-16).next_block() for heard in (one, other)]
    together = MeanFrames(bins, [one, other], 1e-16).next_block()
    middle = slice(40, 90)
    np.testing.assert_allclose(together.signal, alone[0].signal + alone[1].signal, rtol=1e-4)
    beat = 2 * bins.noise_spread * alone[0].signal * alone[1].signal
    expected = alone[0].variance + alone[1].variance + beat
    np.testing.assert_allclose(together.variance[:, middle], expected[:, middle], rtol=1e-3)


def test_the_level_before_an_anomaly_is_that_of_the_meter() -> None:
    bins, meter = bins_of(*USUAL), LevelMeter(1e6)
    loud, quiet = Fixed(4e-6, 0, 1e-9).next_block(), Fixed(1e-6, 0, 1e-9).next_block()
    levels = FrameLevels(bins)
    for powers, amplitude in ((loud, 2e-3), (quiet, 1e-3), (quiet, 1e-3)):
        found = levels.heard(powers)[-1] * FULL_SPECTRUM / FRAME_BINS
        meter.hear(np.full(320_000, amplitude, np.complex64))
        assert meter.mean_power is not None
        assert found == pytest.approx(meter.mean_power, rel=0.02)


def test_anomalies_that_overlap_are_refused() -> None:
    timetable = [Anomaly("ofdm-1mhz", 0, 1, 0), Anomaly("power-3db", 0.5, 2, 0)]
    with pytest.raises(InvalidArgumentError, match="overlap"):
        FramesWithAnomalies(Fixed(1e-6, 0.1, 1e-9), timetable, bins_of(*USUAL))


def test_power_steps_up_and_down_every_50_frames() -> None:
    start_s = 100 * FRAME_SECONDS
    timetable = [Anomaly("power-5db", start_s, 1.0, 0)]
    frames = FramesWithAnomalies(Fixed(1e-6, 0.1, 1e-9), timetable, bins_of(*USUAL))
    gain = np.concatenate([frames.next_block().mean[:, 64] for _ in range(3)]) / (1e-6 + 1e-9)
    steps = (np.arange(len(gain)) - 100) // 50
    expected = np.where((steps >= 0) & (steps % 2 == 0), 10**0.5, 1.0)
    np.testing.assert_allclose(gain, expected, rtol=1e-3)
    assert PERIOD_FRAMES == 125


def test_nothing_changes_before_an_anomaly_and_after_it() -> None:
    timetable = [Anomaly("ofdm-1mhz", 0.1, 0.2, 3.0)]
    plain = Fixed(1e-6, 0.1, 1e-9)
    powers = FramesWithAnomalies(plain, timetable, bins_of(*USUAL)).next_block()
    changed = np.flatnonzero((powers.mean != plain.next_block().mean).any(axis=1))
    assert changed[0] == int(0.1 / FRAME_SECONDS)
    assert changed[-1] == int(0.2 / FRAME_SECONDS)
    assert len(changed) == changed[-1] - changed[0] + 1
    assert powers.mean.dtype == np.float32
