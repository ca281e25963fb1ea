"""Simple methods against formulas written out, and against windows that anybody would call unusual."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames
from bandwatch.spectrogram.samples import decode_samples
from bandwatch.spectrogram.scoring import error_db
from bandwatch.spectrogram.windows import cut_windows
from training_worker.learning.baselines import (
    BASELINES,
    FITTED_AT_MOST,
    BinMeans,
    KalmanPredictor,
    PeriodicMean,
    Predictor,
    ReceivedPower,
    features,
    mean_power_db,
    steady_gain,
)

Codes = npt.NDArray[np.uint8]
Wide = npt.NDArray[np.float64]
PERIOD_FRAMES = 39.0625
EVERY = pytest.mark.parametrize("name", sorted(BASELINES))


def rounded(values: npt.NDArray[np.float64]) -> Codes:
    codes: Codes = values.round().clip(0, 255).astype(np.uint8)
    return codes


def beating_windows(count: int, seed: int) -> Codes:
    """Return clean windows: a spectrum, a beat of 10 ms at any phase, noise."""
    random = np.random.default_rng(seed)
    spectrum = np.random.default_rng(0).normal(100, 10, 128)
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    beat = 8 * np.sin(2 * np.pi * np.arange(125)[:, None] / PERIOD_FRAMES + phase)
    return rounded(spectrum + beat + random.normal(0, 3, (count, 125, 128)))


def autoregressive_windows(count: int, memory: float, process_deviation: float, noise_deviation: float) -> Codes:
    """Return windows of an AR(1) process in white noise around 120."""
    random = np.random.default_rng(4)
    x = random.normal(0, process_deviation / np.sqrt(1 - memory**2), (count, 128))
    levels = np.empty((count, 125, 128))
    for frame in range(125):
        levels[:, frame] = x
        x = memory * x + random.normal(0, process_deviation, x.shape)
    return rounded(120 + levels + random.normal(0, noise_deviation, levels.shape))


CLEAN = beating_windows(120, seed=1)
LATER = beating_windows(60, seed=2)


def filtered(measured: Wide, mean: float, memory: float, q: float, r: float) -> Wide:
    """Run a Kalman filter of one bin step by step from far too wide a variance, and return the next 25 means."""
    x, variance = 0.0, 100 * (q + r)
    for value in measured:
        gain = variance / (variance + r)
        x += gain * (value - mean - x)
        variance *= 1 - gain
        x, variance = memory * x, memory**2 * variance + q
    return np.asarray(mean + x * memory ** np.arange(25))


@pytest.mark.parametrize(("memory", "q", "r"), [(0.6, 4.0, 3.0), (0.9, 1.0, 8.0), (1.0, 0.5, 9.0), (0.0, 2.0, 2.0)])
def test_the_kalman_predictor_agrees_with_a_filter_that_runs_step_by_step(memory: float, q: float, r: float) -> None:
    gain = steady_gain(np.full(128, memory), np.full(128, q / r))
    predictor = KalmanPredictor(np.linspace(90, 110, 128), np.full(128, memory), gain)
    predicted = predictor.predicted(LATER[:2])
    for window, bin_number in ((0, 0), (0, 77), (1, 127)):
        measured = LATER[window, :100, bin_number].astype(np.float64)
        expected = filtered(measured, predictor.mean[bin_number], memory, q, r)
        np.testing.assert_allclose(predicted[window, :, bin_number], expected, atol=1e-3)


@pytest.mark.parametrize(("memory", "process", "noise"), [(0.9, 2.0, 3.0), (0.5, 4.0, 1.5), (0.97, 1.0, 4.0)])
def test_the_kalman_fit_finds_the_process_that_made_the_windows(memory: float, process: float, noise: float) -> None:
    fitted = KalmanPredictor.fit(autoregressive_windows(150, memory, process, noise))
    expected_gain = steady_gain(np.array(memory), np.array((process / noise) ** 2))
    np.testing.assert_allclose(fitted.mean, 120, atol=1)
    assert np.median(fitted.memory) == pytest.approx(memory, abs=0.03)
    assert np.median(fitted.gain) == pytest.approx(expected_gain, abs=0.05)


def test_no_other_gain_predicts_the_next_frame_better_than_the_fitted_one() -> None:
    windows = autoregressive_windows(150, 0.9, 2.0, 3.0)
    fitted = KalmanPredictor.fit(windows)

    def next_frame_error(factor: float) -> float:
        other = KalmanPredictor(fitted.mean, fitted.memory, fitted.gain * factor)
        return float(np.square(other.predicted(windows)[:, 0] - windows[:, 100]).mean())

    assert next_frame_error(1.0) < min(next_frame_error(0.5), next_frame_error(1.5))


def test_periodic_windows_are_predicted_to_the_rounding_of_codes() -> None:
    random = np.random.default_rng(3)
    amplitude, phase = random.uniform(10, 50, (5, 1, 128)), random.uniform(0, 2 * np.pi, (5, 1, 128))
    angle = 2 * np.pi * np.arange(125)[:, None] / PERIOD_FRAMES + phase
    windows = rounded(110 + amplitude * np.sin(angle))
    fitted = PeriodicMean.fit(windows)
    assert fitted.share.min() > 0.99
    assert fitted.scores(windows).max() < 0.25  # 0.14 dB are lost in the rounding of what is predicted


def test_a_repeat_is_looked_up_between_frames() -> None:
    ramp = np.broadcast_to(np.arange(125, dtype=np.uint8)[:, None], (2, 125, 128))
    predicted = PeriodicMean(np.ones(128)).predicted(ramp)
    expected = np.arange(100, 125) - 1.5 * PERIOD_FRAMES
    np.testing.assert_allclose(predicted, np.broadcast_to(expected[:, None], (2, 25, 128)), atol=1e-3)


def test_windows_without_a_period_are_predicted_by_little_more_than_their_mean() -> None:
    noise = rounded(np.random.default_rng(5).normal(100, 6, (200, 125, 128)))
    fitted = PeriodicMean.fit(noise)
    assert fitted.share.max() < 0.1
    assert fitted.share.mean() < 0.03
    np.testing.assert_allclose(fitted.predicted(noise).mean(axis=1), noise[:, :100].mean(axis=1), atol=0.2)


def test_no_other_share_leaves_less_error() -> None:
    fitted = PeriodicMean.fit(CLEAN)
    least = np.square(fitted.scores(CLEAN)).mean()
    for factor in (0.9, 1.05):
        assert np.square(PeriodicMean(fitted.share * factor).scores(CLEAN)).mean() > least


def test_what_repeats_is_predicted_better_by_repeats_than_by_levels() -> None:
    periodic, kalman = PeriodicMean.fit(CLEAN), KalmanPredictor.fit(CLEAN)
    assert periodic.scores(LATER).mean() < 0.8 * kalman.scores(LATER).mean()


def test_the_score_of_a_predictor_is_its_error_in_db() -> None:
    for fit in BASELINES.values():
        fitted = fit(CLEAN)
        if isinstance(fitted, Predictor):
            predicted = fitted.predicted(LATER)
            assert predicted.shape == (60, 25, 128)
            assert predicted.dtype == np.float32
            np.testing.assert_array_equal(fitted.scores(LATER), error_db(LATER[:, 100:], predicted))


@EVERY
def test_every_method_gives_one_score_for_a_window_whatever_stands_beside_it(name: str) -> None:
    fitted = BASELINES[name](CLEAN)
    scores = fitted.scores(LATER)
    assert fitted.name == name
    assert scores.shape == (60,)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(fitted.scores(LATER[7:8]), scores[7:8], rtol=1e-5, atol=1e-5)


@EVERY
@pytest.mark.parametrize("anomaly", ["louder", "silent", "mostly silent"])
def test_every_score_rises_when_the_target_frames_change_abruptly(name: str, anomaly: str) -> None:
    odd = LATER.copy()
    match anomaly:
        case "louder":
            odd[:, 100:] += 30
        case "silent":
            odd[:, 100:] = 40
        case _:
            odd[:, 100:, :120] = 40
    fitted = BASELINES[name](CLEAN)
    assert fitted.scores(odd).min() > fitted.scores(LATER).max()


@EVERY
def test_neither_fit_nor_scores_write_into_the_windows(name: str) -> None:
    windows, before = CLEAN.copy(), CLEAN.copy()
    windows.setflags(write=False)
    BASELINES[name](windows).scores(windows)
    np.testing.assert_array_equal(windows, before)


@EVERY
def test_windows_that_never_change_can_be_fitted_and_score_low(name: str) -> None:
    flat = np.full((10, 125, 128), 77, dtype=np.uint8)
    fitted = BASELINES[name](flat)
    same, other = fitted.scores(flat), fitted.scores(LATER[:10])
    assert np.isfinite(same).all()
    assert same.max() <= other.min()


@EVERY
@pytest.mark.parametrize(
    "windows",
    [CLEAN[:0], CLEAN[:1], CLEAN[:, :100], CLEAN[..., :64], CLEAN.astype(np.float32)],
    ids=["none", "one", "inputs only", "64 bins", "floats"],
)
def test_a_method_cannot_be_fitted_on_what_are_not_several_windows(name: str, windows: Codes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"fitted on|two clean windows"):
        BASELINES[name](windows)


@EVERY
def test_of_very_many_windows_a_share_is_fitted(name: str) -> None:
    many = cut_windows(np.tile(CLEAN.reshape(-1, 128), (2, 1)), stride_frames=7)
    assert FITTED_AT_MOST < len(many) < 3 * FITTED_AT_MOST
    expected = BASELINES[name](many[:: -(-len(many) // FITTED_AT_MOST)])
    np.testing.assert_array_equal(BASELINES[name](many).scores(LATER), expected.scores(LATER))


def test_received_power_is_the_mean_of_powers_and_not_of_decibels() -> None:
    codes = np.array([[100, 120]], dtype=np.uint8)  # the second is 10 dB stronger
    assert mean_power_db(codes, axis=(0, 1)) == pytest.approx(50 + 10 * np.log10((1 + 10) / 2))


def test_received_power_counts_normal_deviations_to_either_side() -> None:
    fitted = ReceivedPower(mean_db=50.0, deviation_db=0.5)
    windows = np.stack([np.full((125, 128), code, dtype=np.uint8) for code in (97, 100, 103)])
    np.testing.assert_allclose(fitted.scores(windows), [3, 0, 3], atol=1e-5)


def test_bin_means_are_distances_in_each_bins_own_deviations() -> None:
    fitted = BinMeans.fit(CLEAN)
    means = CLEAN[:, 100:].astype(np.float64).mean(axis=1)
    expected = [np.sqrt(np.mean(((x - means.mean(0)) / means.std(0)) ** 2)) for x in LATER[:, 100:].mean(axis=1)]
    np.testing.assert_allclose(fitted.scores(LATER), expected, rtol=1e-5)


def test_features_are_those_of_the_target_frames_written_out() -> None:
    found = features(LATER[:3])
    assert found.shape == (3, 272)
    targets = LATER[2, 100:].astype(np.float64)
    power_db = 10 * np.log10(np.mean(10 ** (targets[:, 16:32] / 20)))
    change = np.sqrt(np.mean((targets[1:, 16:32] - targets[:-1, 16:32]) ** 2))
    np.testing.assert_allclose(found[2, :128], targets.mean(axis=0))
    np.testing.assert_allclose(found[2, 128:256], targets.std(axis=0))
    np.testing.assert_allclose([found[2, 257], found[2, 265]], [power_db, change], rtol=1e-5)


def frames_of(folder: Path, name: str) -> Codes:
    meta = json.loads((folder / f"{name}.sigmf-meta").read_text())
    rate_hz, tuned_hz = meta["global"]["core:sample_rate"], meta["captures"][0]["core:frequency"]
    iq = decode_samples((folder / f"{name}.sigmf-data").read_bytes(), meta["global"]["core:datatype"])
    return encode_frames(FrameMaker(Band(tuned_hz, rate_hz), rate_hz, tuned_hz).push(iq), DEFAULT_REFERENCE_DB)


@pytest.mark.recordings
@pytest.mark.parametrize(("cell", "most_db"), [("cell-1890-1890.0", 2.6), ("cell-2585-2585.0", 2.2)])
def test_the_second_half_of_a_real_cell_is_foretold_by_its_repeats(
    recordings_dir: Path, cell: str, most_db: float
) -> None:
    codes = frames_of(recordings_dir, cell)
    earlier, later = cut_windows(codes[:1953], 8), cut_windows(codes[1953:], 9)
    periodic_db = PeriodicMean.fit(earlier).scores(later).mean()
    assert periodic_db < most_db
    assert periodic_db < KalmanPredictor.fit(earlier).scores(later).mean()
