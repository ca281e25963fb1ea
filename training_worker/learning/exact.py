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
import numpy.typing as npt
import torch
from scipy import linalg

from bandwatch.spectrogram.bands import CODE_STEP_DB, INPUT_FRAMES
from training_worker.learning.calibration import Errors
from training_worker.learning.dataset import FOLDS, Indices, WindowSet, batches
from training_worker.learning.networks import LstmPredictor, standardise

STRENGTHS: Final = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 5))
"""Strengths of the pull toward the teacher that cross-validation chooses from; the last one all but keeps it."""
_TAKEN_AT_ONCE: Final = 256

Dense = npt.NDArray[np.float64]
"""[units + 1, 3200]: weights of a dense layer, its bias in the last row."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What windows add to the regression, in float64: H'H [units + 1, units + 1], H'Y [units + 1, 3200], and n."""

    hh: npt.NDArray[np.float64]
    hy: npt.NDArray[np.float64]
    windows: int


@dataclass(frozen=True, eq=False)
class Regression:
    """The windows as the regression sees them: one pass of the LSTM layers over all of them."""

    windows: WindowSet
    hidden: npt.NDArray[np.float32]
    """[n, units] last hidden state of every window."""
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


def regress(predictor: LstmPredictor, windows: WindowSet, report: Callable[[float], None]) -> Regression:
    """Return hidden states and sums of all windows; `report` hears the share done."""
    hidden = np.empty((len(windows), predictor.config.units), dtype=np.float32)
    sums: dict[tuple[int, int], Sums] = {}
    done = 0
    for touched in sorted(set(zip(windows.first_fold.tolist(), windows.last_fold.tolist(), strict=True))):
        touching = np.flatnonzero((windows.first_fold == touched[0]) & (windows.last_fold == touched[1]))
        for batch in batches(touching, _TAKEN_AT_ONCE):
            standardised, _, _ = standardise(torch.from_numpy(windows.gather(batch)))
            with torch.inference_mode():
                hidden[batch] = predictor.hidden_states(standardised[:, :INPUT_FRAMES]).numpy()
            added = _sums_of(_with_ones(hidden[batch]), standardised[:, INPUT_FRAMES:].flatten(1).numpy())
            sums[touched] = add_up([sums[touched], added]) if touched in sums else added
            done += len(batch)
            report(done / len(windows))
    return Regression(windows, hidden, sums)


def fit_exactly(regression: Regression, teacher: Dense) -> ExactFit:
    """Return the dense layers at the strength that leaves the least error on the folds that are left out in turn."""
    everything = regression.without(None)
    rest = [regression.without(fold) for fold in range(FOLDS)]
    errors = [excess_errors(fitted, regression.sums[fold, fold], teacher) for fold, fitted in enumerate(rest)]
    strength = STRENGTHS[int(np.argmin(np.sum(errors, axis=0)))]
    left_out = tuple(solve(fitted, teacher, strength) for fitted in rest)
    return ExactFit(solve(everything, teacher, strength), left_out, strength)


def add_up(parts: Sequence[Sums]) -> Sums:
    """Return the sums over the windows of all parts together."""
    hh = np.sum([part.hh for part in parts], axis=0)
    hy = np.sum([part.hy for part in parts], axis=0)
    return Sums(hh, hy, sum(part.windows for part in parts))


def solve(sums: Sums, teacher: Dense, strength: float) -> Dense:
    """Return the dense layer [units + 1, 3200] that minimises |H W - Y|^2 + strength n |W - W_teacher|^2."""
    correction: Dense = linalg.solve(_pulled(sums, strength), sums.hy - sums.hh @ teacher, assume_a="pos")
    return teacher + correction


def excess_errors(fitted: Sums, unseen: Sums, teacher: Dense) -> npt.NDArray[np.float64]:
    """Return for every strength how much |H W - Y|^2 over unseen windows exceeds the teacher's; below 0 is better.

    The solution is W = W_teacher + P C with P = (H'H + strength n)^-1 and C = H'(Y - H W_teacher), all of the fitted
    windows. With G for the C of the unseen ones the excess is tr(P H'H_unseen P C C') - 2 tr(P G C'), so each
    strength costs products of matrices of [units + 1, units + 1] only.
    """
    correction = fitted.hy - fitted.hh @ teacher
    cc = correction @ correction.T
    gc = (unseen.hy - unseen.hh @ teacher) @ correction.T
    inverses = (linalg.inv(_pulled(fitted, strength)) for strength in STRENGTHS)
    return np.array([np.vdot(inverse @ unseen.hh @ inverse, cc) - 2 * np.vdot(inverse, gc) for inverse in inverses])


def held_out_errors_db(regression: Regression, dense_by_fold: Sequence[Dense]) -> Errors:
    """Return float32 [m]: errors in dB of the windows of fold after fold, predicted by the dense layer of each fold."""
    windows = regression.windows
    return np.concatenate(
        [
            _errors_db(regression, batch, dense)
            for fold, dense in enumerate(dense_by_fold)
            for batch in batches(windows.held_out(fold), _TAKEN_AT_ONCE)
        ]
    )


def dense_of(predictor: LstmPredictor) -> Dense:
    """Return the dense layer [units + 1, 3200] of a predictor."""
    layer = predictor.dense
    rows = torch.cat([layer.weight.detach().T, layer.bias.detach()[None]])
    return rows.numpy().astype(np.float64)


def with_dense(predictor: LstmPredictor, dense: Dense) -> LstmPredictor:
    """Return a copy of a predictor with that dense layer [units + 1, 3200]."""
    replaced = copy.deepcopy(predictor)
    values = torch.from_numpy(dense.astype(np.float32))
    with torch.no_grad():
        replaced.dense.weight.copy_(values[:-1].T)
        replaced.dense.bias.copy_(values[-1])
    return replaced


def _sums_of(hidden: npt.NDArray[np.float64], targets: npt.NDArray[np.float32]) -> Sums:
    return Sums(hidden.T @ hidden, hidden.T @ targets.astype(np.float64), len(targets))


def _pulled(sums: Sums, strength: float) -> npt.NDArray[np.float64]:
    pulled: npt.NDArray[np.float64] = sums.hh + strength * sums.windows * np.eye(len(sums.hh))
    return pulled


def _with_ones(hidden: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.column_stack([hidden, np.ones(len(hidden))]).astype(np.float64)


def _errors_db(regression: Regression, batch: Indices, dense: Dense) -> Errors:
    standardised, _, deviation = standardise(torch.from_numpy(regression.windows.gather(batch)))
    targets = standardised[:, INPUT_FRAMES:].flatten(1).numpy()
    residual = _with_ones(regression.hidden[batch]).astype(np.float32) @ dense.astype(np.float32) - targets
    codes: Errors = deviation.flatten().numpy() * np.sqrt(np.mean(np.square(residual), axis=1))
    return CODE_STEP_DB * codes
