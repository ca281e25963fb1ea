"""Statistics and thresholds of errors, against the textbook."""

from collections.abc import Callable
from itertools import pairwise
from statistics import NormalDist, fmean, pstdev

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandwatch.spectrogram import scoring
from training_worker.learning.calibration import FALSE_ALARM_RATES, error_statistics, errors_db, thresholds
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import LstmConfig, Scorer, new_predictor

ERRORS = arrays(np.float32, st.integers(1, 300), elements=st.floats(0, 50, width=32))


@given(ERRORS)
def test_the_gaussian_threshold_is_mean_plus_z_times_deviation(errors: npt.NDArray[np.float32]) -> None:
    values = errors.astype(float).tolist()
    for threshold in thresholds(errors):
        z = NormalDist().inv_cdf(1 - threshold.false_alarm_rate)
        assert threshold.gaussian_db == pytest.approx(fmean(values) + z * pstdev(values), abs=1e-6)


@given(ERRORS)
def test_no_more_than_the_stated_share_exceeds_the_empirical_threshold(errors: npt.NDArray[np.float32]) -> None:
    for threshold in thresholds(errors):
        assert np.mean(errors > threshold.empirical_db) <= threshold.false_alarm_rate
        assert np.mean(errors >= threshold.empirical_db) > threshold.false_alarm_rate * (1 - 1e-9)


def test_every_rate_is_calibrated_and_lower_rates_have_higher_thresholds() -> None:
    errors = np.random.default_rng(1).normal(3, 0.3, 5000).astype(np.float32)
    table = thresholds(errors)
    assert tuple(threshold.false_alarm_rate for threshold in table) == FALSE_ALARM_RATES
    for lower, higher in pairwise(table):
        assert lower.gaussian_db > higher.gaussian_db
        assert lower.empirical_db > higher.empirical_db


def test_both_thresholds_of_normal_errors_agree() -> None:
    errors = np.random.default_rng(2).normal(3, 0.3, 200_000).astype(np.float32)
    for threshold in thresholds(errors):
        assert threshold.empirical_db == pytest.approx(threshold.gaussian_db, abs=0.02)


@given(ERRORS)
def test_statistics_are_the_mean_and_the_deviation_of_the_whole_population(errors: npt.NDArray[np.float32]) -> None:
    found = error_statistics(errors)
    values = errors.astype(float).tolist()
    assert found.windows == len(values)
    assert found.mean_db == pytest.approx(fmean(values), abs=1e-6)
    assert found.deviation_db == pytest.approx(pstdev(values), abs=1e-5)


def test_errors_come_in_the_order_of_the_windows_asked_for(
    make_frames: Callable[[int, int], npt.NDArray[np.uint8]],
) -> None:
    windows = WindowSet.cut([make_frames(1200, 1)], stride_frames=3, seed=0)
    predictor = new_predictor(LstmConfig(layers=1, units=4), seed=1)
    indices = np.random.default_rng(3).permutation(len(windows))
    shares: list[float] = []
    found = errors_db(predictor, windows, indices, shares.append)
    codes = windows.gather(indices)
    with torch.inference_mode():
        predicted = Scorer(predictor)(torch.from_numpy(codes))[1].numpy()
    np.testing.assert_allclose(found, scoring.error_db(codes[:, 100:], predicted), atol=1e-4)
    assert shares == sorted(shares)
    assert shares[-1] == 1
