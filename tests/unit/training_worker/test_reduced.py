"""A linear predictor of low rank, against the singular values of what the full solution fits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.unit.training_worker.normal_equations import by_cholesky
from training_worker.learning.calibration import errors_db, left_over
from training_worker.learning.dataset import FOLDS, Indices, WindowSet
from training_worker.learning.exact import STRENGTHS, ExactFit, Regression, dense_of, fit_exactly, regress
from training_worker.learning.exact import left_over as left_over_by_sums
from training_worker.learning.kernel import Fold
from training_worker.learning.networks import (
    COMBINATIONS,
    LAGGED_POWERS,
    LaggedRegression,
    LinearPredictor,
    lagged_powers,
    standardise,
)
from training_worker.learning.reduced import ReducedFit, fit_reduced

Codes = npt.NDArray[np.uint8]
Wide = npt.NDArray[np.float64]
MakeFrames = Callable[[int, int], Codes]
STRIDE = 9


@dataclass(frozen=True, eq=False)
class Full:
    """A full solution by other means: the dense layer [929, 3200], and the features [n, 928] that it was fitted to."""

    features: Wide
    dense: Wide

    def fitted(self) -> Wide:
        """Return what it predicts of the windows that it was fitted to, [n, 3200]."""
        fitted: Wide = self.features @ self.dense[:-1] + self.dense[-1]
        return fitted

    def reduced(self, rank: int) -> Wide:
        """Return the dense layer [929, 3200] whose fitted values are the best approximation of that rank."""
        mean = self.fitted().mean(0)
        directions = np.linalg.svd(self.fitted() - mean, full_matrices=False)[2][:rank]
        weights = self.dense[:-1] @ directions.T @ directions
        return np.vstack([weights, mean - self.features.mean(0) @ weights])


def silent(_: float) -> None:
    """Hear nothing."""


def every(windows: WindowSet) -> Indices:
    return np.arange(len(windows))


def standardised(windows: WindowSet, chosen: Indices) -> tuple[torch.Tensor, torch.Tensor]:
    """Return input frames [n, 100, 128] and flat target frames float64 [n, 3200]."""
    frames, _, _ = standardise(torch.from_numpy(windows.gather(chosen)))
    return frames[:, :100], frames[:, 100:].flatten(1).to(torch.float64)


def features_of(windows: WindowSet, chosen: Indices) -> Wide:
    return np.asarray(lagged_powers(standardised(windows, chosen)[0]).numpy().astype(np.float64))


@torch.inference_mode()
def predicted(predictor: LinearPredictor, windows: WindowSet, chosen: Indices) -> Wide:
    return np.asarray(predictor(standardised(windows, chosen)[0]).flatten(1).numpy().astype(np.float64))


@torch.inference_mode()
def combinations(predictor: LinearPredictor, windows: WindowSet, chosen: Indices) -> Wide:
    return np.asarray(predictor.features(standardised(windows, chosen)[0]).numpy().astype(np.float64))


@pytest.fixture(scope="module")
def segments(make_frames: MakeFrames) -> list[Codes]:
    return [make_frames(1500, 1), make_frames(800, 2)]


@pytest.fixture(scope="module")
def windows(segments: list[Codes]) -> WindowSet:
    """Give fewer windows than lagged powers: their regression is solved from the side of the windows."""
    return WindowSet.cut(segments, STRIDE, seed=0)


@pytest.fixture(scope="module")
def unheard(make_frames: MakeFrames) -> WindowSet:
    return WindowSet.cut([make_frames(1200, 3)], 50, seed=0)


@pytest.fixture(scope="module")
def regressed(windows: WindowSet) -> tuple[Regression, ExactFit]:
    """Give the regression on all lagged powers, and its solutions at the strength that cross-validation chooses."""
    start = LaggedRegression()
    regression = regress(start, windows, silent)
    return regression, fit_exactly(regression, dense_of(start))


@pytest.fixture(scope="module")
def full(windows: WindowSet, regressed: tuple[Regression, ExactFit]) -> Full:
    """Give the full solution without fold 3 from sums, where `fit_reduced` has it from the side of the windows."""
    regression, solution = regressed
    dense = by_cholesky(regression.without(3), torch.zeros_like(solution.dense), solution.strength)
    return Full(features_of(windows, windows.fitted(3)), dense.numpy())


@pytest.fixture(scope="module")
def usual(windows: WindowSet) -> ReducedFit:
    return fit_reduced(windows, silent)


@pytest.fixture(scope="module")
def without_3(windows: WindowSet) -> ReducedFit:
    return fit_reduced(windows, silent, without=3)


@pytest.fixture(scope="module")
def of_rank_3(windows: WindowSet) -> LinearPredictor:
    return fit_reduced(windows, silent, without=3, rank=3).predictor


def test_fitted_values_are_the_best_approximation_of_their_rank(
    full: Full, without_3: ReducedFit, of_rank_3: LinearPredictor, windows: WindowSet
) -> None:
    """What it lacks is in the singular values that it leaves out (Eckart and Young 1936)."""
    power = np.linalg.svd(full.fitted() - full.fitted().mean(0), compute_uv=False) ** 2
    for rank, predictor in ((3, of_rank_3), (COMBINATIONS, without_3.predictor)):
        found = predicted(predictor, windows, windows.fitted(3))
        values = np.linalg.svd(found - found.mean(0), compute_uv=False)
        assert np.sum((found - full.fitted()) ** 2) == pytest.approx(power[rank:].sum(), rel=1e-3)
        assert np.sum(values > 1e-4 * values[0]) == rank == predictor.lagged.out_features


def test_the_predictor_computes_what_the_reduced_dense_layer_says_of_any_window(
    full: Full, without_3: ReducedFit, windows: WindowSet, unheard: WindowSet
) -> None:
    reduced = full.reduced(COMBINATIONS)
    for some in (windows, unheard):
        expected = features_of(some, every(some)) @ reduced[:-1] + reduced[-1]
        np.testing.assert_allclose(predicted(without_3.predictor, some, every(some)), expected, atol=2e-3)


def test_fitted_values_keep_their_mean(full: Full, of_rank_3: LinearPredictor, windows: WindowSet) -> None:
    found = predicted(of_rank_3, windows, windows.fitted(3))
    np.testing.assert_allclose(found.mean(0), full.fitted().mean(0), atol=1e-4)


def test_full_rank_gives_the_full_solution_back(full: Full, windows: WindowSet) -> None:
    predictor = fit_reduced(windows, silent, without=3, rank=len(full.features)).predictor
    np.testing.assert_allclose(predicted(predictor, windows, windows.fitted(3)), full.fitted(), atol=1e-3)


def test_all_windows_are_fitted_where_no_fold_is_left_out(
    usual: ReducedFit, windows: WindowSet, regressed: tuple[Regression, ExactFit]
) -> None:
    whole = Full(features_of(windows, every(windows)), regressed[1].dense.numpy())
    reduced = whole.reduced(COMBINATIONS)
    expected = whole.features @ reduced[:-1] + reduced[-1]
    np.testing.assert_allclose(predicted(usual.predictor, windows, every(windows)), expected, atol=2e-3)


def test_with_more_windows_than_lagged_powers_it_reduces_the_solution_from_the_side_of_the_windows(
    make_frames: MakeFrames,
) -> None:
    """The other way round than with few windows: here `fit_reduced` goes by sums."""
    many = WindowSet.cut([make_frames(1060, 1)], 1, seed=0)
    assert len(many) > LAGGED_POWERS
    features, (_, targets) = features_of(many, every(many)), standardised(many, every(many))
    with_ones = torch.from_numpy(np.hstack([features, np.ones((len(many), 1))]))
    numbers = [(torch.from_numpy(many.fitted(fold)), torch.from_numpy(many.held_out(fold))) for fold in range(FOLDS)]
    folds = [Fold.of(with_ones, targets, fitted, unseen) for fitted, unseen in numbers]
    errors = torch.stack([fold.excess_errors(STRENGTHS) for fold in folds]).sum(0)
    full = Full(features[many.fitted(1)], folds[1].change(STRENGTHS[int(errors.argmin())]).numpy())
    expected = full.features @ full.reduced(2)[:-1] + full.reduced(2)[-1]
    found = fit_reduced(many, silent, without=1, rank=2).predictor
    np.testing.assert_allclose(predicted(found, many, many.fitted(1)), expected, atol=2e-3)


def test_combinations_have_deviation_1_over_the_windows_that_were_fitted(
    usual: ReducedFit, without_3: ReducedFit, windows: WindowSet
) -> None:
    for one, fitted in ((usual, every(windows)), (without_3, windows.fitted(3))):
        np.testing.assert_allclose(combinations(one.predictor, windows, fitted).std(0), 1, atol=1e-3)
    assert np.abs(combinations(without_3.predictor, windows, windows.held_out(3)).std(0) - 1).max() > 0.1


def test_low_rank_loses_little_of_what_repeats_and_rank_1_a_lot(
    usual: ReducedFit, windows: WindowSet, regressed: tuple[Regression, ExactFit]
) -> None:
    regression, solution = regressed
    whole_db = left_over_by_sums(regression, solution.left_out).error_db
    single_db = fit_reduced(windows, silent, without=3, rank=1).rest.error_db
    assert usual.rest.error_db.mean() < 1.01 * whole_db.mean()
    assert single_db.mean() > 1.05 * whole_db[usual.rest.fold == 3].mean()


def test_what_is_left_over_of_a_fold_is_what_a_predictor_leaves_that_was_fitted_without_it(
    usual: ReducedFit, without_3: ReducedFit, windows: WindowSet
) -> None:
    """Combinations too: a predictor fitted without a fold has found its directions without it."""
    expected = left_over(without_3.predictor, windows, windows.held_out(3), silent)
    of_3 = usual.rest.fold == 3
    for found_db in (usual.rest.error_db[of_3], without_3.rest.error_db):
        np.testing.assert_allclose(found_db, expected.error_db, atol=1e-3)
    np.testing.assert_allclose(usual.rest.residual_db[of_3], expected.residual_db, atol=1e-2)
    seen_db = errors_db(usual.predictor, windows, windows.held_out(3), silent)
    assert seen_db.mean() < 0.99 * expected.error_db.mean()


def test_leftovers_are_of_every_fold_or_of_the_one_that_was_left_out(
    usual: ReducedFit, without_3: ReducedFit, windows: WindowSet
) -> None:
    held_out = [len(windows.held_out(fold)) for fold in range(FOLDS)]
    assert np.bincount(usual.rest.fold).tolist() == held_out
    assert len(without_3.rest.error_db) == held_out[3]


def test_a_predictor_fitted_without_a_fold_does_not_depend_on_what_the_fold_holds(
    segments: list[Codes], windows: WindowSet, without_3: ReducedFit
) -> None:
    """Only the choice among a few strengths hears of its windows, and a change of one code is too little for that."""
    changed = [codes.copy() for codes in segments]
    folds = WindowSet.cut(changed, stride_frames=1, seed=0)
    for number, place in zip(folds.segment[folds.held_out(3)], folds.place[folds.held_out(3)], strict=True):
        changed[number][place : place + 125] = segments[number][place : place + 125] ^ 1
    others = WindowSet.cut(changed, STRIDE, seed=0)
    assert (others.gather(others.held_out(3)) != windows.gather(windows.held_out(3))).all()
    again = fit_reduced(others, silent, without=3)
    for name, value in without_3.predictor.state_dict().items():
        assert torch.equal(again.predictor.state_dict()[name], value), name
    assert (again.rest.error_db != without_3.rest.error_db).all()


def test_a_fit_reports_a_rising_share(windows: WindowSet) -> None:
    shares: list[float] = []
    fit_reduced(windows, shares.append, without=0, rank=1)
    assert shares == sorted(shares)
    assert shares[-1] == 1
