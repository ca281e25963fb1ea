"""Standardisation and error against the textbook formulas, written value by value."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bandwatch.spectrogram.scoring import (
    STANDING_WINDOWS,
    combined_scores,
    error_db,
    standardise,
    standing_scores,
)


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


def _bands(seed: int, windows: int, bands: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 2, (windows, bands)).astype(np.float32)


def _standing_by_the_book(bands: NDArray[np.float32], stride_frames: int) -> list[float]:
    """Return the score of each window by itself: which others it looks back on, band by band, in double precision."""
    apart = math.ceil(25 / stride_frames)  # the target frames of two windows that far apart share no frame
    scores = []
    for last in range(len(bands)):
        together = [last - back * apart for back in range(STANDING_WINDOWS) if last - back * apart >= 0]
        sums = [math.fsum(float(bands[row, band]) for row in together) for band in range(bands.shape[1])]
        scores.append(max(abs(value) for value in sums) / math.sqrt(len(together)))
    return scores


@given(seed=st.integers(0, 2**32), windows=st.integers(1, 40), stride_frames=st.integers(1, 60))
def test_a_standing_score_sums_up_to_eight_windows_whose_targets_do_not_overlap(
    seed: int, windows: int, stride_frames: int
) -> None:
    bands = _bands(seed, windows)
    scores, _ = standing_scores(bands, bands[:0], stride_frames)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, _standing_by_the_book(bands, stride_frames), rtol=1e-5, atol=1e-6)


@given(
    seed=st.integers(0, 2**32),
    parts=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    stride_frames=st.sampled_from([1, 3, 5, 8, 25, 40]),
)
def test_any_split_of_a_stream_gives_the_same_standing_scores(seed: int, parts: list[int], stride_frames: int) -> None:
    bands = _bands(seed, sum(parts))
    whole, _ = standing_scores(bands, bands[:0], stride_frames)
    scores, earlier, begun = [], bands[:0], 0
    for count in parts:
        part, earlier = standing_scores(bands[begun : begun + count], earlier, stride_frames)
        scores.append(part)
        begun += count
    np.testing.assert_array_equal(np.concatenate(scores), whole)
    assert len(earlier) <= (STANDING_WINDOWS - 1) * math.ceil(25 / stride_frames)


def test_what_stands_in_one_band_adds_up_and_what_fluctuates_does_not() -> None:
    bands = np.zeros((8, 3), np.float32)
    bands[:, 1] = 2.0
    bands[:, 2] = [3, -3] * 4
    scores, _ = standing_scores(bands, bands[:0], 25)
    assert scores[-1] == pytest.approx(2 * math.sqrt(8))


def test_standing_scores_write_nothing_into_their_arguments() -> None:
    bands, earlier = _bands(1, 6), _bands(2, 4)
    copies = bands.copy(), earlier.copy()
    standing_scores(bands, earlier, 25)
    np.testing.assert_array_equal(bands, copies[0])
    np.testing.assert_array_equal(earlier, copies[1])


@given(st.data())
def test_a_combined_score_is_the_largest_deviation_of_the_logarithms_of_the_others(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(["error", "whitened", "band", "standing"]), min_size=1, unique=True))
    values = st.floats(0, 1000, width=32)
    rows = data.draw(st.lists(st.tuples(*(values for _ in names)), min_size=1, max_size=10))
    normal = {name: (data.draw(st.floats(-3, 3)), data.draw(st.floats(0.05, 2))) for name in names}
    scores = {name: np.array([row[place] for row in rows], np.float32) for place, name in enumerate(names)}
    expected = [
        max(
            (math.log(max(value, 1e-6)) - normal[name][0]) / normal[name][1]
            for name, value in zip(names, row, strict=True)
        )
        for row in rows
    ]
    combined = combined_scores(scores, normal)
    assert combined.dtype == np.float32
    np.testing.assert_allclose(combined, expected, rtol=1e-4, atol=1e-4)


def test_a_combined_score_leaves_out_what_has_no_normal() -> None:
    one = np.array([math.e], np.float32)
    assert combined_scores({"error": one, "band": one * 1000}, {"error": (0.0, 0.5)}) == pytest.approx([2.0])
