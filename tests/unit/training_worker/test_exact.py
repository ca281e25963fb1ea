"""The dense layer as a regression, against the stacked system solved the long way."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.unit.training_worker.normal_equations import by_cholesky
from tests.unit.training_worker.small_networks import new_regression
from training_worker.learning import networks
from training_worker.learning.calibration import LeftOver, left_over
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.exact import (
    STRENGTHS,
    Dense,
    Regression,
    add_up,
    dense_of,
    excess_errors,
    fit_exactly,
    regress,
    solve,
    with_dense,
)
from training_worker.learning.exact import left_over as left_over_by_sums
from training_worker.learning.kernel import Fold
from training_worker.learning.networks import Predictor, standardise

MakeFrames = Callable[[int, int], npt.NDArray[np.uint8]]
MakePredictor = Callable[[str], Predictor]
Wide = npt.NDArray[np.float64]
Regressions = dict[str, tuple[Predictor, Regression]]
FAMILIES = [networks.LSTM, networks.LINEAR, networks.HYBRID]
WIDE = "all lagged powers"
"""A regression with more features than there are windows."""


@pytest.fixture(scope="module")
def windows(make_frames: MakeFrames) -> WindowSet:
    return WindowSet.cut([make_frames(1500, 1), make_frames(800, 2)], stride_frames=9, seed=0)


@pytest.fixture(scope="module")
def regressions(make_predictor: MakePredictor, windows: WindowSet) -> Regressions:
    predictors = {family: make_predictor(family) for family in FAMILIES} | {WIDE: new_regression()}
    return {family: (start, regress(start, windows, lambda _: None)) for family, start in predictors.items()}


@pytest.fixture
def lstm(regressions: Regressions) -> tuple[Dense, Regression]:
    """Give the dense layer of an LSTM predictor and its regression."""
    start, regression = regressions[networks.LSTM]
    return dense_of(start), regression


def system(regression: Regression, indices: npt.NDArray[np.intp]) -> tuple[Wide, Wide]:
    """Return H [n, f + 1] and Y [n, 3200] of windows, all at once."""
    features = regression.features[torch.from_numpy(indices)].numpy().astype(np.float64)
    standardised, _, _ = standardise(torch.from_numpy(regression.windows.gather(indices)))
    targets = standardised[:, 100:].reshape(len(indices), -1).numpy().astype(np.float64)
    return np.hstack([features, np.ones((len(indices), 1))]), targets


def least_squares(regression: Regression, teacher: Wide, strength: float) -> Wide:
    """Return the dense layer [f + 1, 3200] by least squares on windows and pull stacked in one matrix."""
    features, targets = system(regression, np.arange(len(regression.windows)))
    root = np.sqrt(strength * len(features))
    stacked = np.vstack([features, root * np.eye(features.shape[1])])
    solution, *_ = np.linalg.lstsq(stacked, np.vstack([targets, root * teacher]))
    return np.asarray(solution)


@pytest.mark.parametrize(
    ("family", "has_teacher"),
    [
        (networks.LSTM, True),
        (networks.LSTM, False),
        (networks.LINEAR, True),
        (networks.HYBRID, True),
        (WIDE, True),
        (WIDE, False),
    ],
)
def test_the_solution_is_that_of_least_squares_on_the_stacked_system(
    regressions: Regressions, family: str, has_teacher: bool
) -> None:
    start, regression = regressions[family]
    teacher = dense_of(start) if has_teacher else torch.zeros_like(dense_of(start))
    expected = least_squares(regression, teacher.numpy(), strength=1e-3)
    found = solve(regression.without(None), teacher, strength=1e-3).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("strength", [STRENGTHS[0], 1e-2, STRENGTHS[-1]])
def test_the_solution_is_exact_at_every_strength(lstm: tuple[Dense, Regression], strength: float) -> None:
    teacher, regression = lstm
    expected = least_squares(regression, teacher.numpy(), strength)
    found = solve(regression.without(None), teacher, strength).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("family", [networks.LSTM, networks.LINEAR, WIDE])
def test_a_solution_that_leaves_a_fold_out_is_that_of_the_windows_that_do_not_touch_it(
    regressions: Regressions, family: str
) -> None:
    """The left-out solutions come by another way, in directions in which the features are uncorrelated."""
    start, regression = regressions[family]
    fitted = fit_exactly(regression, dense_of(start))
    inputs, _ = system(regression, regression.windows.held_out(2))
    expected = by_cholesky(regression.without(2), dense_of(start), fitted.strength).numpy()
    np.testing.assert_allclose(inputs @ fitted.left_out[2].numpy(), inputs @ expected, atol=1e-6)


def test_features_are_those_of_the_predictor(regressions: Regressions, windows: WindowSet) -> None:
    for start, regression in regressions.values():
        standardised, _, _ = standardise(torch.from_numpy(windows.gather(np.arange(len(windows)))))
        with torch.inference_mode():
            expected = start.features(standardised[:, :100]).numpy()
        np.testing.assert_allclose(regression.features.numpy(), expected, atol=1e-5)


def test_sums_without_a_fold_are_those_of_the_windows_that_do_not_touch_it(lstm: tuple[Dense, Regression]) -> None:
    _, regression = lstm
    for fold in range(FOLDS):
        features, targets = system(regression, regression.windows.fitted(fold))
        sums = regression.without(fold)
        assert sums.windows == len(features)
        np.testing.assert_allclose(sums.hh, features.T @ features, rtol=1e-10, atol=1e-8)
        rest = targets - features @ sums.around.numpy()
        np.testing.assert_allclose(sums.hr, features.T @ rest, rtol=1e-10, atol=1e-8)


def test_sums_of_two_observers_add_up_to_the_sums_of_both(
    make_frames: MakeFrames, make_predictor: MakePredictor
) -> None:
    start = make_predictor(networks.LSTM)
    segments = [make_frames(900, 1), make_frames(1100, 2)]

    def sums_of(*heard: npt.NDArray[np.uint8]) -> Regression:
        return regress(start, WindowSet.cut(heard, stride_frames=9, seed=0), lambda _: None)

    both = sums_of(*segments).without(None)
    added = add_up([sums_of(segment).without(None) for segment in segments])
    assert added.windows == both.windows
    np.testing.assert_allclose(added.hh, both.hh, rtol=1e-6, atol=1e-4)  # features are float32, batch by batch
    np.testing.assert_allclose(added.hr, both.hr, rtol=1e-6, atol=1e-4)


def test_cross_validation_by_sums_finds_the_errors_that_predictions_have(lstm: tuple[Dense, Regression]) -> None:
    teacher, regression = lstm
    features, targets = system(regression, regression.windows.held_out(1))
    solved = [by_cholesky(regression.without(1), teacher, strength).numpy() for strength in STRENGTHS]
    expected = np.array([np.sum((features @ dense - targets) ** 2) for dense in solved])
    excess = excess_errors(regression.without(1), regression.sums[1, 1], teacher).numpy()
    found = np.sum((features @ teacher.numpy() - targets) ** 2) + excess
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_cross_validation_ranks_strengths_as_predictions_do_with_more_features_than_windows(
    regressions: Regressions,
) -> None:
    start, regression = regressions[WIDE]
    some = STRENGTHS[::6]
    features, targets = system(regression, regression.windows.held_out(1))
    solved = [by_cholesky(regression.without(1), dense_of(start), strength).numpy() for strength in some]
    expected = [np.sum((features @ dense - targets) ** 2) for dense in solved]
    found = excess_errors(regression.without(1), regression.sums[1, 1], dense_of(start)).numpy()[::6]
    assert np.argsort(found).tolist() == np.argsort(expected).tolist()
    np.testing.assert_allclose(found - found[0], np.array(expected) - expected[0], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("family", [networks.LSTM, networks.LINEAR, WIDE])
def test_from_the_side_of_the_windows_every_strength_has_the_same_solution_and_error(
    regressions: Regressions, family: str
) -> None:
    start, regression = regressions[family]
    features, targets = (torch.from_numpy(part) for part in system(regression, np.arange(len(regression.windows))))
    fitted, unseen = regression.windows.fitted(1), regression.windows.held_out(1)
    rest = targets - features @ dense_of(start)
    fold = Fold.of(features, rest, torch.from_numpy(fitted), torch.from_numpy(unseen))
    sums = regression.without(1)
    expected = excess_errors(sums, regression.sums[1, 1], dense_of(start)).numpy()
    np.testing.assert_allclose(fold.excess_errors(STRENGTHS).numpy(), expected, rtol=1e-5, atol=1e-3)
    for strength in STRENGTHS[::9]:
        solution = by_cholesky(sums, dense_of(start), strength)
        found = features[unseen] @ (dense_of(start) + fold.change(strength))
        np.testing.assert_allclose(found, features[unseen] @ solution, atol=1e-5)


def test_the_chosen_strength_leaves_the_least_error_on_left_out_blocks(lstm: tuple[Dense, Regression]) -> None:
    teacher, regression = lstm
    unseen = [system(regression, regression.windows.held_out(fold)) for fold in range(FOLDS)]

    def left_out_error(strength: float) -> float:
        solved = [by_cholesky(regression.without(fold), teacher, strength) for fold in range(FOLDS)]
        return sum(float(np.sum((h @ dense.numpy() - y) ** 2)) for dense, (h, y) in zip(solved, unseen, strict=True))

    assert fit_exactly(regression, teacher).strength == min(STRENGTHS, key=left_out_error)


def test_a_very_strong_pull_keeps_the_teacher(lstm: tuple[Dense, Regression]) -> None:
    teacher, regression = lstm
    np.testing.assert_allclose(by_cholesky(regression.without(None), teacher, strength=1e9), teacher, atol=1e-6)


def test_a_left_out_solution_does_not_depend_on_what_its_fold_holds(
    make_frames: MakeFrames, make_predictor: MakePredictor, lstm: tuple[Dense, Regression]
) -> None:
    teacher, regression = lstm
    changed = [make_frames(1500, 1), make_frames(800, 2)]
    folds = WindowSet.cut(changed, stride_frames=1, seed=0)
    for number, place in zip(folds.segment[folds.held_out(3)], folds.place[folds.held_out(3)], strict=True):
        changed[number][place : place + 125] = 7
    windows = WindowSet.cut(changed, stride_frames=9, seed=0)
    other = regress(make_predictor(networks.LSTM), windows, lambda _: None)
    np.testing.assert_array_equal(
        by_cholesky(other.without(3), teacher, 0.01), by_cholesky(regression.without(3), teacher, 0.01)
    )
    assert not np.allclose(
        by_cholesky(other.without(2), teacher, 0.01), by_cholesky(regression.without(2), teacher, 0.01)
    )


def test_what_is_left_over_is_what_the_predictor_with_that_dense_layer_leaves(
    regressions: Regressions, windows: WindowSet
) -> None:
    start, regression = regressions[networks.LSTM]
    fitted = fit_exactly(regression, dense_of(start))
    found = left_over_by_sums(regression, fitted.left_out)
    expected = [
        left_over(with_dense(start, dense), windows, windows.held_out(fold), lambda _: None)
        for fold, dense in fitted.left_out.items()
    ]
    np.testing.assert_allclose(found.error_db, np.concatenate([part.error_db for part in expected]), atol=1e-4)
    np.testing.assert_allclose(found.residual_db, np.concatenate([part.residual_db for part in expected]), atol=1e-4)


def test_leftovers_say_which_fold_they_are_of_and_which_windows_follow_one_another(
    lstm: tuple[Dense, Regression], windows: WindowSet
) -> None:
    teacher, regression = lstm
    found = left_over_by_sums(regression, dict.fromkeys(range(FOLDS), teacher))
    held_out = [len(windows.held_out(fold)) for fold in range(FOLDS)]
    assert np.bincount(found.fold).tolist() == held_out
    assert found.stride_frames == 9
    # Five blocks of each of two segments: no window follows another from block to block.
    assert len(np.unique(found.run)) == 10
    assert len(found.error_db) == len(found.run) == sum(held_out)


def test_leftovers_of_a_single_fold_fall_into_five_stretches(lstm: tuple[Dense, Regression]) -> None:
    teacher, regression = lstm
    found: LeftOver = left_over_by_sums(regression, {0: teacher})
    assert len(found.error_db) == len(regression.windows.held_out(0))
    assert np.unique(found.fold).tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(found.fold) >= 0).all()


def test_the_exact_layer_predicts_left_out_blocks_far_better_than_a_teacher_that_learned_nothing(
    lstm: tuple[Dense, Regression],
) -> None:
    teacher, regression = lstm
    student_db = left_over_by_sums(regression, fit_exactly(regression, teacher).left_out).error_db.mean()
    teacher_db = left_over_by_sums(regression, dict.fromkeys(range(FOLDS), teacher)).error_db.mean()
    assert student_db < 0.8 * teacher_db


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_dense_layer_is_replaced(make_predictor: MakePredictor, family: str) -> None:
    start = make_predictor(family)
    before = {name: value.clone() for name, value in start.state_dict().items()}
    dense = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(dense_of(start).shape)))
    student = with_dense(start, dense)
    np.testing.assert_allclose(dense_of(student), dense, atol=1e-6)
    for name, value in before.items():
        assert torch.equal(value, start.state_dict()[name])
        assert torch.equal(value, student.state_dict()[name]) != name.startswith("dense.")


def test_reading_the_windows_reports_a_rising_share(make_predictor: MakePredictor, windows: WindowSet) -> None:
    shares: list[float] = []
    regress(make_predictor(networks.LSTM), windows, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
