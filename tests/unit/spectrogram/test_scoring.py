"""Standardisation and error against the textbook formulas, written value by value."""

import math
import statistics

import numpy as np
import pytest

from bandwatch.spectrogram.scoring import error_db, standardise


def _windows(count: int) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.random.default_rng(3).integers(0, 256, (count, 125, 128), dtype=np.uint8)


def test_windows_get_the_mean_and_deviation_of_their_100_input_frames() -> None:
    windows = _windows(3)
    standardised, means, deviations = standardise(windows)
    assert standardised.dtype == means.dtype == deviations.dtype == np.float32
    for window, result, mean, deviation in zip(windows, standardised, means, deviations, strict=True):
        inputs = [float(code) for code in window[:100].ravel()]
        assert mean == pytest.approx(statistics.fmean(inputs), rel=1e-6)
        assert deviation == pytest.approx(statistics.pstdev(inputs), rel=1e-5)
        np.testing.assert_allclose(result, (window - float(mean)) / float(deviation), atol=1e-5)


def test_standardised_windows_do_not_change_under_an_affine_map_of_the_input() -> None:
    windows = _windows(2).astype(np.float32)
    np.testing.assert_allclose(standardise(windows * 3 - 70)[0], standardise(windows)[0], atol=1e-4)


def test_a_window_without_variation_is_divided_by_one_code() -> None:
    windows = np.full((1, 125, 128), 80, dtype=np.uint8)
    windows[:, 100:] = 83
    standardised, _, deviation = standardise(windows)
    assert deviation.tolist() == [1.0]
    assert np.unique(standardised).tolist() == [0.0, 3.0]


def test_standardising_writes_nothing_into_its_argument() -> None:
    windows = _windows(1).astype(np.float32)
    before = windows.copy()
    standardise(windows)
    np.testing.assert_array_equal(windows, before)


def test_the_error_is_the_root_of_the_mean_squared_difference_in_decibels() -> None:
    generator = np.random.default_rng(4)
    measured = generator.integers(0, 256, (4, 25, 128), dtype=np.uint8)
    predicted = generator.normal(128, 40, (4, 25, 128)).astype(np.float32)
    errors = error_db(measured, predicted)
    assert errors.dtype == np.float32
    for codes, prediction, error in zip(measured, predicted, errors, strict=True):
        pairs = zip(codes.ravel().tolist(), prediction.ravel().tolist(), strict=True)
        squares = [(0.5 * (a - b)) ** 2 for a, b in pairs]
        assert error == pytest.approx(math.sqrt(math.fsum(squares) / len(squares)), rel=1e-5)


def test_a_prediction_off_by_four_codes_everywhere_has_an_error_of_two_decibels() -> None:
    measured = np.full((1, 25, 128), 100, dtype=np.uint8)
    assert error_db(measured, np.full((1, 25, 128), 96, dtype=np.uint8)).tolist() == [2.0]
