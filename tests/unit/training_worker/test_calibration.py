"""Scores of windows that were not fitted, and their tables, against the textbook and against later windows."""

from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist, fmean, pstdev

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandwatch.artifacts.manifest import SCORES, Threshold
from bandwatch.spectrogram import scoring
from training_worker.learning import networks
from training_worker.learning.calibration import (
    DEFAULT_SCORE,
    DRIFT,
    DRIFT_SHOWS_S,
    FALSE_ALARM_RATES,
    Calibration,
    LeftOver,
    calibrate,
    error_statistics,
    errors_db,
    five_stretches,
    left_over,
    needed_seconds,
    scores_of,
)
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import Predictor
from training_worker.learning.scores import Scorer, fit_statistics, no_statistics

MakeFrames = Callable[[int, int], npt.NDArray[np.uint8]]
MakePredictor = Callable[[str], Predictor]
ERRORS = arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 50, width=32))
APART = 25


def leftovers(errors: npt.NDArray[np.float32], seed: int = 1, runs: int = 5, stride_frames: int = APART) -> LeftOver:
    """Return leftovers with those errors [n], and residual spectra of normal data in which bins rise together."""
    random = np.random.default_rng(seed)
    count = len(errors)
    residual = random.normal(0, 0.4, (count, 128)) + random.normal(0, 0.3, (count, 1))
    run = np.arange(count) * runs // count
    return LeftOver(errors, residual.astype(np.float32), run % 5, run, stride_frames)


def ordinary_errors(count: int, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).lognormal(1, 0.05, count).astype(np.float32)


@pytest.fixture(scope="module")
def plenty() -> tuple[LeftOver, Calibration]:
    rest = leftovers(ordinary_errors(4000), runs=20, stride_frames=100)  # 102 s
    return rest, calibrate(rest)


def thresholds(calibration: Calibration, score: str) -> tuple[Threshold, ...]:
    return next(table.thresholds for table in calibration.tables if table.score == score)


@settings(max_examples=15)
@given(ERRORS)
def test_any_errors_can_be_calibrated_and_the_textbook_says_how(errors: npt.NDArray[np.float32]) -> None:
    values = errors.astype(float).tolist()
    table = thresholds(calibrate(leftovers(errors)), "error")
    for threshold in table:
        z = NormalDist().inv_cdf(1 - threshold.false_alarm_rate)
        assert threshold.gaussian == pytest.approx(fmean(values) + z * pstdev(values), abs=1e-5)
        assert np.mean(errors > threshold.empirical) <= threshold.false_alarm_rate
        assert np.mean(errors >= threshold.empirical) > threshold.false_alarm_rate * (1 - 1e-9)
        assert threshold.bound >= threshold.empirical * (1 - 1e-6)


def test_a_model_is_calibrated_for_every_score_and_every_rate(plenty: tuple[LeftOver, Calibration]) -> None:
    _, calibration = plenty
    assert tuple(table.score for table in calibration.tables) == SCORES
    assert DEFAULT_SCORE in SCORES
    assert set(DRIFT) == set(SCORES)
    for table in calibration.tables:
        assert tuple(threshold.false_alarm_rate for threshold in table.thresholds) == FALSE_ALARM_RATES
        for lower, higher in pairwise(table.thresholds):
            assert lower.gaussian > higher.gaussian
            assert lower.empirical > higher.empirical
            assert lower.bound > higher.bound


def test_all_methods_agree_on_plenty_of_normal_errors(plenty: tuple[LeftOver, Calibration]) -> None:
    for threshold in thresholds(plenty[1], "error")[3:]:
        assert threshold.gaussian == pytest.approx(threshold.empirical, rel=0.01)
        assert threshold.bound == pytest.approx(threshold.empirical, rel=0.01)


def test_the_bound_of_half_a_second_is_above_both_other_thresholds() -> None:
    calibration = calibrate(leftovers(ordinary_errors(78)))
    for score in SCORES:
        for threshold in thresholds(calibration, score):
            assert threshold.bound >= max(threshold.gaussian, threshold.empirical) * (1 - 1e-6), (score, threshold)
    for threshold in thresholds(calibration, "error"):
        assert threshold.bound > 1.02 * max(threshold.gaussian, threshold.empirical)


def test_drift_is_assumed_while_data_are_too_short_to_show_it() -> None:
    short, long = (leftovers(ordinary_errors(940), stride_frames=stride) for stride in (249, 250))
    assert short.seconds < DRIFT_SHOWS_S < long.seconds
    for with_drift, without in zip(calibrate(short).tables[:-1], calibrate(long).tables[:-1], strict=True):
        expected = np.hypot(without.log_deviation, DRIFT[with_drift.score])
        assert with_drift.log_deviation == pytest.approx(expected, rel=0.02)


def test_what_a_calibrated_rate_promises_holds_on_later_windows(plenty: tuple[LeftOver, Calibration]) -> None:
    """The combined score is the largest of four, and its threshold knows that."""
    _, calibration = plenty
    later = leftovers(ordinary_errors(4000, seed=2), seed=3, runs=20, stride_frames=100)
    values = scores_of(later, calibration.statistics.apply(later.residual_db.astype(np.float64)))
    normal: dict[str, tuple[float, float]] = {
        table.score: (table.log_mean, table.log_deviation) for table in calibration.tables[:-1]
    }
    values["combined"] = scoring.combined_scores(values, normal)
    for score in SCORES:
        for threshold in thresholds(calibration, score)[3:]:
            rate = float(np.mean(values[score] > threshold.bound))
            assert rate == pytest.approx(threshold.false_alarm_rate, rel=0.5), (score, threshold)


def test_the_combined_score_is_already_counted_in_deviations(plenty: tuple[LeftOver, Calibration]) -> None:
    table = plenty[1].tables[-1]
    assert (table.score, table.log_mean, table.log_deviation) == ("combined", 0, 1)


def test_windows_are_never_scored_with_statistics_that_they_took_part_in() -> None:
    """Of 128 dimensions 150 windows teach little: what they are judged by themselves is far too low a threshold."""
    rest = leftovers(ordinary_errors(150))
    calibration = calibrate(rest)
    residuals = rest.residual_db.astype(np.float64)
    in_sample, _ = fit_statistics(residuals, 0.02).apply(residuals)
    later = leftovers(ordinary_errors(2000), seed=9).residual_db.astype(np.float64)
    later_by_them, _ = fit_statistics(residuals, 0.02).apply(later)
    assert np.mean(later_by_them > np.quantile(in_sample, 0.99)) > 0.9
    whitened, _ = calibration.statistics.apply(later)
    threshold = next(one for one in thresholds(calibration, "whitened") if one.false_alarm_rate == 0.01)
    assert np.mean(whitened > threshold.empirical) < 0.05


def test_released_statistics_are_fitted_on_all_that_is_left_over() -> None:
    rest = leftovers(ordinary_errors(300))
    np.testing.assert_allclose(
        calibrate(rest).statistics.center, rest.residual_db.astype(np.float64).mean(0), atol=1e-12
    )


def test_a_single_fold_is_scored_with_its_own_statistics_for_want_of_others() -> None:
    rest = leftovers(ordinary_errors(40), runs=1)
    assert np.unique(rest.fold).tolist() == [0]
    assert calibrate(rest).tables[0].score == "error"


def test_a_signal_that_stands_adds_up_within_a_run_and_not_across_runs() -> None:
    bands = np.zeros((20, 375))
    bands[:, 7] = 1.0
    rest = leftovers(ordinary_errors(20), runs=2)
    standing = scores_of(rest, (np.ones(20), bands))["standing"]
    expected = np.sqrt(np.minimum(np.arange(10) + 1, 8))
    np.testing.assert_allclose(standing, np.concatenate([expected, expected]), rtol=1e-6)


def test_the_band_score_is_the_largest_deviation_up_or_down() -> None:
    bands = np.zeros((3, 375))
    bands[0, 3], bands[1, 100], bands[1, 2] = 2.5, -4.0, 1.0
    band = scores_of(leftovers(ordinary_errors(3), runs=1), (np.ones(3), bands))["band"]
    np.testing.assert_allclose(band, [2.5, 4.0, 0.0])


@pytest.mark.parametrize("runs", [1, 4])
def test_ten_times_the_rate_is_shown_by_a_tenth_of_the_time(runs: int) -> None:
    rest = leftovers(ordinary_errors(400), runs=runs)
    assert needed_seconds(rest, 0.1) == pytest.approx(9 * rest.seconds / 400, rel=0.3)
    assert needed_seconds(rest, 0.01) == pytest.approx(11 * needed_seconds(rest, 0.1))


@given(ERRORS)
def test_statistics_are_the_mean_and_the_deviation_of_the_whole_population(errors: npt.NDArray[np.float32]) -> None:
    found = error_statistics(errors)
    values = errors.astype(float).tolist()
    assert found.windows == len(values)
    assert found.mean_db == pytest.approx(fmean(values), abs=1e-6)
    assert found.deviation_db == pytest.approx(pstdev(values), abs=1e-5)


@given(st.integers(0, 500))
def test_five_stretches_are_in_order_and_of_about_one_size(count: int) -> None:
    stretches = five_stretches(count)
    assert (np.diff(stretches) >= 0).all()
    sizes = np.bincount(stretches, minlength=5)
    assert len(sizes) == 5
    assert sizes.max() - sizes.min() <= 1


@pytest.fixture(scope="module")
def windows(make_frames: MakeFrames) -> WindowSet:
    return WindowSet.cut([make_frames(900, 1), make_frames(400, 2)], stride_frames=3, seed=0)


def test_what_is_left_over_is_what_the_scorer_sees(windows: WindowSet, make_predictor: MakePredictor) -> None:
    predictor = make_predictor(networks.LSTM)
    indices = np.random.default_rng(3).permutation(len(windows))[:60]
    found = left_over(predictor, windows, indices, lambda _: None)
    codes = windows.gather(windows.in_order(indices))
    with torch.inference_mode():
        error_db, predicted, *_ = (out.numpy() for out in Scorer(predictor, no_statistics())(torch.from_numpy(codes)))
    np.testing.assert_allclose(found.error_db, error_db, atol=1e-4)
    np.testing.assert_allclose(found.residual_db, 0.5 * (codes[:, 100:] - predicted).mean(1), atol=1e-4)


def test_leftovers_are_in_order_of_time_and_say_where_windows_stop_following_one_another(
    windows: WindowSet, make_predictor: MakePredictor
) -> None:
    held_out = windows.held_out(2)
    shuffled = np.random.default_rng(4).permutation(held_out)
    shares: list[float] = []
    found = left_over(make_predictor(networks.LSTM), windows, shuffled, shares.append)
    in_order = left_over(make_predictor(networks.LSTM), windows, held_out, lambda _: None)
    np.testing.assert_array_equal(found.error_db, in_order.error_db)
    assert len(np.unique(found.run)) == len(np.unique(windows.segment[held_out]))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_errors_come_in_the_order_of_the_windows_asked_for(windows: WindowSet, make_predictor: MakePredictor) -> None:
    indices = np.random.default_rng(3).permutation(len(windows))
    predictor = make_predictor(networks.LSTM)
    found = errors_db(predictor, windows, indices, lambda _: None)
    codes = windows.gather(indices)
    with torch.inference_mode():
        predicted = Scorer(predictor, no_statistics())(torch.from_numpy(codes))[1].numpy()
    np.testing.assert_allclose(found, scoring.error_db(codes[:, 100:], predicted), atol=1e-4)
