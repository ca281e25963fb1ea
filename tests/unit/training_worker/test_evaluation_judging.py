"""Scores of streams, of windows put into streams, and of windows alone."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.judging import Judge, errors_on, judge_of
from training_worker.learning import exact, networks
from training_worker.learning.calibration import calibrate, errors_db
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import LstmConfig, Predictor, new_predictor

Codes = npt.NDArray[np.uint8]
STRIDE = 5
PREDICTOR = new_predictor(LstmConfig(2, 5), seed=1)


@pytest.fixture(scope="module")
def codes(make_frames: Callable[[int, int], Codes]) -> Codes:
    return make_frames(1200, 3)


@pytest.fixture(scope="module")
def judge(codes: Codes) -> Judge:
    regression = exact.regress(PREDICTOR, WindowSet.cut([codes], STRIDE, 0), lambda _: None)
    solution = exact.fit_exactly(regression, exact.dense_of(PREDICTOR))
    student: Predictor = exact.with_dense(PREDICTOR, solution.dense)
    return judge_of(student, calibrate(exact.left_over(regression, solution.left_out)))


def test_every_calibrated_score_is_given(codes: Codes, judge: Judge) -> None:
    scores = judge.in_order(judge.outputs(cut_windows(codes, STRIDE)), STRIDE)
    assert sorted(scores) == ["band", "combined", "error", "standing", "whitened"]
    assert {len(values) for values in scores.values()} == {216}


def test_a_stream_stands_out_by_the_sum_over_eight_windows_whose_targets_do_not_overlap(
    codes: Codes, judge: Judge
) -> None:
    outputs = judge.outputs(cut_windows(codes, STRIDE))
    last = outputs.bands[[215 - 5 * back for back in range(8)]]
    expected = np.abs(last.sum(0)).max() / np.sqrt(8)
    assert judge.in_order(outputs, STRIDE)["standing"][215] == pytest.approx(expected, rel=1e-5)


def test_a_window_put_into_a_clean_stream_scores_as_in_that_stream(codes: Codes, judge: Judge) -> None:
    clean = cut_windows(codes, STRIDE)
    loud = (clean + 5).astype(np.uint8)
    clean_outputs, loud_outputs = judge.outputs(clean), judge.outputs(loud)
    found = judge.after(loud_outputs, clean_outputs, STRIDE)
    for place in (0, 3, 34, 100):
        stream = clean.copy()
        stream[place] = loud[place]
        expected = judge.in_order(judge.outputs(stream), STRIDE)
        for score, values in found.items():
            assert values[place] == pytest.approx(expected[score][place], rel=1e-4), score


def test_a_window_alone_scores_as_the_first_of_a_stream(codes: Codes, judge: Judge) -> None:
    windows = cut_windows(codes, 300)
    found = judge.alone(judge.outputs(windows))
    for place in range(len(windows)):
        expected = judge.in_order(judge.outputs(windows[place : place + 1]), STRIDE)
        for score, values in found.items():
            assert values[place] == pytest.approx(expected[score][0], rel=1e-5), score


@pytest.mark.parametrize("family", [networks.LSTM, networks.LINEAR])
def test_errors_are_those_that_calibration_measures(
    codes: Codes, make_predictor: Callable[[str], Predictor], family: str
) -> None:
    predictor = make_predictor(family)
    windows = WindowSet.cut([codes], 9, 0)
    expected = errors_db(predictor, windows, np.arange(len(windows)), lambda _: None)
    np.testing.assert_allclose(errors_on(predictor, codes, 9), expected, rtol=1e-5)


def test_too_short_a_stream_has_no_scores(codes: Codes, judge: Judge) -> None:
    outputs = judge.outputs(cut_windows(codes[:100], STRIDE))
    assert len(judge.in_order(outputs, STRIDE)["combined"]) == 0
    assert len(judge.after(outputs, outputs, STRIDE)["combined"]) == 0
