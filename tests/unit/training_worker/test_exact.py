"""The dense layer as a regression, against the stacked system solved the long way."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from bandwatch.spectrogram import scoring
from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import FOLDS, Indices, WindowSet
from training_worker.learning.exact import (
    STRENGTHS,
    Regression,
    dense_of,
    excess_errors,
    fit_exactly,
    held_out_errors_db,
    regress,
    solve,
    with_dense,
)
from training_worker.learning.networks import LstmConfig, LstmPredictor, new_predictor

MakeFrames = Callable[[int, int], npt.NDArray[np.uint8]]
Wide = npt.NDArray[np.float64]
TEACHER = new_predictor(LstmConfig(layers=1, units=6), seed=1)


@pytest.fixture(scope="module")
def windows(make_frames: MakeFrames) -> WindowSet:
    return WindowSet.cut([make_frames(1500, 1), make_frames(800, 2)], stride_frames=7, seed=0)


@pytest.fixture(scope="module")
def regression(windows: WindowSet) -> Regression:
    return regress(TEACHER, windows, lambda _: None)


def system(windows: WindowSet, indices: Indices) -> tuple[Wide, Wide]:
    """Return H [n, units + 1] and Y [n, 3200] of windows, all at once."""
    standardised, _, _ = scoring.standardise(windows.gather(indices))
    with torch.inference_mode():
        hidden = TEACHER.hidden_states(torch.from_numpy(standardised[:, :100])).numpy()
    targets = standardised[:, 100:].reshape(len(indices), -1).astype(np.float64)
    return np.hstack([hidden, np.ones((len(indices), 1))]).astype(np.float64), targets


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 10.0])
def test_the_solution_is_that_of_least_squares_on_the_stacked_system(
    windows: WindowSet, regression: Regression, strength: float
) -> None:
    hidden, targets = system(windows, np.arange(len(windows)))
    root = np.sqrt(strength * len(windows))
    stacked = np.vstack([hidden, root * np.eye(hidden.shape[1])])
    expected, *_ = np.linalg.lstsq(stacked, np.vstack([targets, root * dense_of(TEACHER).numpy()]))
    found = solve(regression.without(None), dense_of(TEACHER), strength)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_sums_without_a_fold_are_those_of_the_windows_that_do_not_touch_it(
    windows: WindowSet, regression: Regression
) -> None:
    for fold in range(FOLDS):
        hidden, targets = system(windows, windows.fitted(fold))
        sums = regression.without(fold)
        assert sums.windows == len(hidden)
        np.testing.assert_allclose(sums.hh, hidden.T @ hidden, rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(sums.hy, hidden.T @ targets, rtol=1e-4, atol=1e-3)


def test_cross_validation_by_sums_ranks_strengths_as_predictions_do(windows: WindowSet, regression: Regression) -> None:
    teacher = dense_of(TEACHER)
    hidden, targets = system(windows, windows.held_out(1))
    solved = [solve(regression.without(1), teacher, strength).numpy() for strength in STRENGTHS]
    expected = [np.sum((hidden @ dense - targets) ** 2) for dense in solved]
    excess = excess_errors(regression.without(1), regression.sums[1, 1], teacher).numpy()
    np.testing.assert_allclose(np.sum((hidden @ teacher.numpy() - targets) ** 2) + excess, expected, rtol=1e-5)


def test_the_chosen_strength_leaves_the_least_error_on_left_out_blocks(
    windows: WindowSet, regression: Regression
) -> None:
    unseen = [system(windows, windows.held_out(fold)) for fold in range(FOLDS)]

    def left_out_error(strength: float) -> float:
        solved = [solve(regression.without(fold), dense_of(TEACHER), strength) for fold in range(FOLDS)]
        return sum(float(np.sum((h @ dense.numpy() - y) ** 2)) for dense, (h, y) in zip(solved, unseen, strict=True))

    chosen = fit_exactly(regression, dense_of(TEACHER)).strength
    assert left_out_error(chosen) == pytest.approx(min(map(left_out_error, STRENGTHS[::2])), rel=0.05)
    assert left_out_error(chosen) <= min(left_out_error(STRENGTHS[0]), left_out_error(STRENGTHS[-1]))


def test_a_very_strong_pull_keeps_the_teacher(regression: Regression) -> None:
    kept = solve(regression.without(None), dense_of(TEACHER), strength=1e9)
    np.testing.assert_allclose(kept, dense_of(TEACHER), atol=1e-6)


def test_a_left_out_solution_does_not_depend_on_what_its_fold_holds(
    make_frames: MakeFrames, regression: Regression
) -> None:
    changed = [make_frames(1500, 1), make_frames(800, 2)]
    folds = WindowSet.cut(changed, stride_frames=1, seed=0)
    for number, place in zip(folds.segment[folds.held_out(3)], folds.place[folds.held_out(3)], strict=True):
        changed[number][place : place + 125] = 7
    other = regress(TEACHER, WindowSet.cut(changed, stride_frames=7, seed=0), lambda _: None)
    teacher = dense_of(TEACHER)
    np.testing.assert_array_equal(solve(other.without(3), teacher, 0.01), solve(regression.without(3), teacher, 0.01))
    assert not np.allclose(solve(other.without(2), teacher, 0.01), solve(regression.without(2), teacher, 0.01))


def test_held_out_errors_are_those_of_the_predictor_with_that_dense_layer(
    windows: WindowSet, regression: Regression
) -> None:
    exact = fit_exactly(regression, dense_of(TEACHER))
    expected = [
        errors_db(with_dense(TEACHER, dense), windows, windows.held_out(fold), lambda _: None)
        for fold, dense in enumerate(exact.left_out)
    ]
    np.testing.assert_allclose(held_out_errors_db(regression, exact.left_out), np.concatenate(expected), atol=1e-4)


def test_the_exact_layer_predicts_left_out_blocks_far_better_than_a_teacher_that_learned_nothing(
    regression: Regression,
) -> None:
    exact = fit_exactly(regression, dense_of(TEACHER))
    student_db = held_out_errors_db(regression, exact.left_out).mean()
    teacher_db = held_out_errors_db(regression, [dense_of(TEACHER)] * FOLDS).mean()
    assert student_db < 0.8 * teacher_db


def test_only_the_dense_layer_is_replaced() -> None:
    dense = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 3200)))
    student: LstmPredictor = with_dense(TEACHER, dense)
    np.testing.assert_allclose(dense_of(student), dense, atol=1e-6)
    for name, value in TEACHER.lstm.state_dict().items():
        assert torch.equal(value, student.lstm.state_dict()[name])


def test_reading_the_windows_reports_a_rising_share(windows: WindowSet) -> None:
    shares: list[float] = []
    regress(TEACHER, windows, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
