"""A linear predictor of low rank: a regression on all lagged powers, reduced to the few combinations that matter.

What 928 features say of 3200 values lies nearly in a few directions of those values: the levels of resource blocks and
the rhythm of the cell. Reduced-rank regression keeps the directions in which the fitted values vary most (Izenman
1975): with W the full solution and C the covariance of the features they are the leading eigenvectors V of W'C W, and
W V V' is the best approximation of that rank on the windows that were fitted. W V are the combinations, V' the dense
layer. Combinations from one cell's radio serve other cells, whose dense layer is solved again, as an LSTM's layers do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from training_worker.learning import exact
from training_worker.learning.calibration import LeftOver
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.networks import COMBINATIONS, LaggedRegression, LinearPredictor


@dataclass(frozen=True, eq=False)
class ReducedFit:
    """A linear predictor of low rank, and what its like, solved without each fold, leaves over of that fold."""

    predictor: LinearPredictor
    rest: LeftOver


def fit_reduced(
    windows: WindowSet, report: Callable[[float], None], without: int | None = None, rank: int = COMBINATIONS
) -> ReducedFit:
    """Return a linear predictor that needs no teacher, fitted to all windows or to those outside one fold.

    For what is left over of a fold, the directions too are found without it: of few windows, directions know too much.
    """
    start = LaggedRegression()
    regression = exact.regress(start, windows, report)
    solution = exact.fit_exactly(regression, exact.dense_of(start))
    dense = solution.dense if without is None else solution.left_out[without]
    sums = regression.without(without)
    reduced = {
        fold: _reduced(solution.left_out[fold], regression.without(fold), rank)
        for fold in (range(FOLDS) if without is None else (without,))
    }
    return ReducedFit(_predictor_of(dense, sums, rank), exact.left_over(regression, reduced))


def _leading_directions(dense: exact.Dense, sums: exact.Sums, rank: int) -> Tensor:
    """Return float64 [3200, rank]: orthonormal directions in which the fitted values vary most."""
    power, own = torch.linalg.eigh(_covariance(sums))
    varied = max(sums.windows, rank)  # the features of n windows do not vary in more than n directions
    spread = power[-varied:].clamp(min=0).sqrt()[:, None] * (own[:, -varied:].T @ dense[:-1])  # its square is W'C W
    _, within = torch.linalg.eigh(spread @ spread.T)
    directions: Tensor = torch.linalg.qr(spread.T @ within[:, -rank:]).Q
    return directions


def _reduced(dense: exact.Dense, sums: exact.Sums, rank: int) -> exact.Dense:
    """Return the dense layer [929, 3200] of that rank whose fitted values have the same mean."""
    directions = _leading_directions(dense, sums, rank)
    weights = dense[:-1] @ directions @ directions.T
    return torch.cat([weights, (dense[-1] + _mean(sums) @ (dense[:-1] - weights))[None]])


def _predictor_of(dense: exact.Dense, sums: exact.Sums, rank: int) -> LinearPredictor:
    """Return the reduced dense layer as combinations of deviation 1 and a dense layer on them."""
    directions = _leading_directions(dense, sums, rank)
    combinations = dense[:-1] @ directions
    deviation = torch.einsum("fr,fg,gr->r", combinations, _covariance(sums), combinations).clamp(min=1e-12).sqrt()
    predictor = LinearPredictor(directions.shape[1])
    with torch.no_grad():
        predictor.lagged.weight.copy_((combinations / deviation).T)
        predictor.dense.weight.copy_(directions * deviation)
        predictor.dense.bias.copy_(dense[-1] + _mean(sums) @ (dense[:-1] - combinations @ directions.T))
    return predictor


def _mean(sums: exact.Sums) -> Tensor:
    mean: Tensor = sums.hh[-1, :-1] / sums.windows
    return mean


def _covariance(sums: exact.Sums) -> Tensor:
    return sums.hh[:-1, :-1] / sums.windows - torch.outer(_mean(sums), _mean(sums))
