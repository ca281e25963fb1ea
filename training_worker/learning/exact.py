"""The best dense layer on given LSTM layers, without gradient descent: a ridge regression on the last hidden state.

With H [n, units + 1] the hidden states beside a column of ones, and Y [n, 3200] the standardised target frames, the
dense layer W [units + 1, 3200] minimises |H W - Y|^2 + strength n |W - W_teacher|^2. The windows enter only through
H'H and H'Y, so that leaving blocks of time out is a subtraction of sums, not another fit.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from bandwatch.spectrogram.bands import CODE_STEP_DB, INPUT_FRAMES
from training_worker.learning.calibration import Errors
from training_worker.learning.dataset import FOLDS, Indices, WindowSet, batches
from training_worker.learning.networks import LstmPredictor, standardise

STRENGTHS: Final = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 5))
"""Strengths of the pull toward the teacher that cross-validation chooses from; the last one all but keeps it."""
_TAKEN_AT_ONCE: Final = 256

Dense = Tensor
"""float64 [units + 1, 3200]: weights of a dense layer, its bias in the last row."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What windows add to the regression, in float64: H'H [units + 1, units + 1], H'Y [units + 1, 3200], and n."""

    hh: Tensor
    hy: Tensor
    windows: int


@dataclass(frozen=True, eq=False)
class Regression:
    """The windows as the regression sees them: one pass of the LSTM layers over all of them."""

    windows: WindowSet
    hidden: Tensor
    """float32 [n, units]: last hidden state of every window."""
    sums: dict[tuple[int, int], Sums]
    """By the folds of a window's first and last frame."""

    def without(self, fold: int | None) -> Sums:
        """Return the sums over the windows that share no frame with a fold, or over all of them."""
        return add_up([sums for touched, sums in self.sums.items() if fold not in touched])


@dataclass(frozen=True, eq=False)
class ExactFit:
    """The solution on all windows, and for each fold the solution that never saw it."""

    dense: Dense
    left_out: tuple[Dense, ...]
    strength: float


@torch.no_grad()
def regress(predictor: LstmPredictor, windows: WindowSet, report: Callable[[float], None]) -> Regression:
    """Return hidden states and sums of all windows; `report` hears the share done."""
    hidden = torch.empty((len(windows), predictor.config.units))
    sums: dict[tuple[int, int], Sums] = {}
    done = 0
    for touched in sorted(set(zip(windows.first_fold.tolist(), windows.last_fold.tolist(), strict=True))):
        touching = np.flatnonzero((windows.first_fold == touched[0]) & (windows.last_fold == touched[1]))
        for batch in batches(touching, _TAKEN_AT_ONCE):
            standardised, _, _ = standardise(torch.from_numpy(windows.gather(batch)))
            last = predictor.hidden_states(standardised[:, :INPUT_FRAMES])
            hidden[torch.from_numpy(batch)] = last
            added = _sums_of(_with_ones(last), standardised[:, INPUT_FRAMES:].flatten(1))
            sums[touched] = add_up([sums[touched], added]) if touched in sums else added
            done += len(batch)
            report(done / len(windows))
    return Regression(windows, hidden, sums)


def fit_exactly(regression: Regression, teacher: Dense) -> ExactFit:
    """Return the dense layers at the strength that leaves the least error on the folds that are left out in turn."""
    rest = [regression.without(fold) for fold in range(FOLDS)]
    errors = [excess_errors(fitted, regression.sums[fold, fold], teacher) for fold, fitted in enumerate(rest)]
    strength = STRENGTHS[int(torch.stack(errors).sum(0).argmin())]
    left_out = tuple(solve(fitted, teacher, strength) for fitted in rest)
    return ExactFit(solve(regression.without(None), teacher, strength), left_out, strength)


def add_up(parts: Sequence[Sums]) -> Sums:
    """Return the sums over the windows of all parts together."""
    hh = torch.stack([part.hh for part in parts]).sum(0)
    hy = torch.stack([part.hy for part in parts]).sum(0)
    return Sums(hh, hy, sum(part.windows for part in parts))


def solve(sums: Sums, teacher: Dense, strength: float) -> Dense:
    """Return the dense layer [units + 1, 3200] that minimises |H W - Y|^2 + strength n |W - W_teacher|^2."""
    change: Dense = torch.linalg.solve(_pulled(sums, strength), _correction(sums, teacher))
    return teacher + change


def excess_errors(fitted: Sums, unseen: Sums, teacher: Dense) -> Tensor:
    """Return for every strength how much |H W - Y|^2 over unseen windows exceeds the teacher's; below 0 is better.

    The solution is W = W_teacher + P C with P = (H'H + strength n)^-1 and C = H'(Y - H W_teacher), all of the fitted
    windows. With G for the C of the unseen ones the excess is tr(P H'H_unseen P C C') - 2 tr(P G C'), so each
    strength costs products of matrices of [units + 1, units + 1] only.
    """
    correction = _correction(fitted, teacher)
    cc = correction @ correction.T
    gc = _correction(unseen, teacher) @ correction.T
    inverses = (torch.linalg.inv(_pulled(fitted, strength)) for strength in STRENGTHS)
    return torch.stack([((p @ unseen.hh @ p) * cc).sum() - 2 * (p * gc).sum() for p in inverses])


def held_out_errors_db(regression: Regression, dense_by_fold: Sequence[Dense]) -> Errors:
    """Return float32 [m]: errors in dB of the windows of fold after fold, predicted by the dense layer of each fold."""
    held_out = [regression.windows.held_out(fold) for fold in range(FOLDS)]
    errors = np.empty(sum(map(len, held_out)), dtype=np.float32)
    done = 0
    for indices, dense in zip(held_out, dense_by_fold, strict=True):
        for batch in batches(indices, _TAKEN_AT_ONCE):
            errors[done : done + len(batch)] = _errors_db(regression, batch, dense)
            done += len(batch)
    return errors


def dense_of(predictor: LstmPredictor) -> Dense:
    """Return the dense layer of a predictor."""
    layer = predictor.dense
    return torch.cat([layer.weight.detach().T, layer.bias.detach()[None]]).to(torch.float64)


def with_dense(predictor: LstmPredictor, dense: Dense) -> LstmPredictor:
    """Return a copy of a predictor with that dense layer."""
    replaced = copy.deepcopy(predictor)
    with torch.no_grad():
        replaced.dense.weight.copy_(dense[:-1].T)
        replaced.dense.bias.copy_(dense[-1])
    return replaced


def _sums_of(hidden: Tensor, targets: Tensor) -> Sums:
    return Sums(hidden.T @ hidden, hidden.T @ targets.to(torch.float64), len(targets))


def _correction(sums: Sums, teacher: Dense) -> Tensor:
    return sums.hy - sums.hh @ teacher


def _pulled(sums: Sums, strength: float) -> Tensor:
    return sums.hh + strength * sums.windows * torch.eye(len(sums.hh), dtype=torch.float64)


def _with_ones(hidden: Tensor) -> Tensor:
    return torch.cat([hidden, torch.ones((len(hidden), 1))], dim=1).to(torch.float64)


def _errors_db(regression: Regression, batch: Indices, dense: Dense) -> Errors:
    standardised, _, deviation = standardise(torch.from_numpy(regression.windows.gather(batch)))
    predicted = _with_ones(regression.hidden[torch.from_numpy(batch)]) @ dense
    residual = predicted - standardised[:, INPUT_FRAMES:].flatten(1)
    codes = deviation.flatten() * residual.square().mean(1).sqrt()
    errors: Errors = (CODE_STEP_DB * codes).numpy()
    return errors
