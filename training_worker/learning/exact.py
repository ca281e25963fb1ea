"""The best dense layer on given features, without gradient descent: a ridge regression.

With H [n, features + 1] the features beside a column of ones, and Y [n, 3200] the standardised target frames, the dense
layer W [features + 1, 3200] minimises |H W - Y|^2 + strength n |W - W_teacher|^2. The windows enter only through H'H
and H'Y, so that leaving blocks of time out and adding up observers are sums, not other fits.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from training_worker.learning import kernel
from training_worker.learning.calibration import LeftOver, five_stretches
from training_worker.learning.dataset import FOLDS, Indices, WindowSet, batches
from training_worker.learning.networks import Predictor, PredictorT, standardise

STRENGTHS: Final = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 7))
"""Strengths of the pull toward the teacher that cross-validation chooses from; the last one all but keeps it."""
_TAKEN_AT_ONCE: Final = 256

Dense = Tensor
"""float64 [features + 1, 3200]: weights of a dense layer, its bias in the last row."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What windows add to the regression, in float64, around the dense layer W that features were made beside.

    Attributes:
        hh: float64 [f + 1, f + 1], H'H.
        hr: float64 [f + 1, 3200], H'(Y - H W).
        around: float64 [f + 1, 3200], W.
        windows: n.
    """

    hh: Tensor
    hr: Tensor
    around: Dense
    windows: int


@dataclass(frozen=True, eq=False)
class Regression:
    """The windows as the regression sees them: one pass of the body over all of them."""

    windows: WindowSet
    features: Tensor
    """float32 [n, f], of every window."""
    sums: dict[tuple[int, int], Sums]
    """By the folds of a window's first and last frame."""

    def without(self, fold: int | None) -> Sums:
        """Return the sums over the windows that share no frame with a fold, or over all of them."""
        return add_up([sums for touched, sums in self.sums.items() if fold not in touched])


@dataclass(frozen=True, eq=False)
class ExactFit:
    """The solution on all windows, and for each fold the solution that never saw it."""

    dense: Dense
    left_out: Mapping[int, Dense]
    strength: float


@torch.no_grad()
def regress(predictor: Predictor, windows: WindowSet, report: Callable[[float], None]) -> Regression:
    """Return features and sums of all windows; `report` hears the share done."""
    features = torch.empty((len(windows), predictor.dense.in_features))
    sums: dict[tuple[int, int], Sums] = {}
    around = dense_of(predictor)
    done = 0
    for touched in sorted(set(zip(windows.first_fold.tolist(), windows.last_fold.tolist(), strict=True))):
        touching = np.flatnonzero((windows.first_fold == touched[0]) & (windows.last_fold == touched[1]))
        for batch in batches(touching, _TAKEN_AT_ONCE):
            standardised, _, _ = standardise(torch.from_numpy(windows.gather(batch)))
            taken = predictor.features(standardised[:, :INPUT_FRAMES])
            features[torch.from_numpy(batch)] = taken
            added = _sums_of(_with_ones(taken), standardised[:, INPUT_FRAMES:].flatten(1), around)
            sums[touched] = add_up([sums[touched], added]) if touched in sums else added
            done += len(batch)
            report(done / len(windows))
    return Regression(windows, features, sums)


def fit_exactly(regression: Regression, teacher: Dense) -> ExactFit:
    """Return the dense layers at the strength that leaves the least error on the folds that are left out in turn.

    Where there are fewer windows than features, the same solution is reached from the side of the windows (`kernel`).
    """
    if len(regression.windows) < regression.features.shape[1]:
        return _fit_few(regression, teacher)
    whole = regression.without(None)
    if torch.equal(teacher, whole.around):
        teacher = whole.around  # so that nobody compares 3 MB again
    rest = [_diagonal(regression.without(fold), teacher) for fold in range(FOLDS)]
    errors = [_excess_errors(fitted, regression.sums[fold, fold], teacher) for fold, fitted in enumerate(rest)]
    strength = STRENGTHS[int(torch.stack(errors).sum(0).argmin())]
    left_out = _LeftOut([partial(fitted.solution, teacher, strength) for fitted in rest])
    return ExactFit(solve(whole, teacher, strength), left_out, strength)


def _fit_few(regression: Regression, teacher: Dense) -> ExactFit:
    windows = regression.windows
    features, every = _with_ones(regression.features), torch.arange(len(windows))
    standardised, _, _ = standardise(torch.from_numpy(windows.gather(every.numpy())))
    rest = standardised[:, INPUT_FRAMES:].flatten(1).to(torch.float64) - features @ teacher
    folds = [
        kernel.Fold.of(features, rest, torch.from_numpy(windows.fitted(fold)), torch.from_numpy(windows.held_out(fold)))
        for fold in range(FOLDS)
    ]
    strength = STRENGTHS[int(torch.stack([fold.excess_errors(STRENGTHS) for fold in folds]).sum(0).argmin())]
    left_out = _LeftOut([lambda fold=fold: teacher + fold.change(strength) for fold in folds])  # type: ignore[misc]
    whole = kernel.Fold.of(features, rest, every, every[:0])
    return ExactFit(teacher + whole.change(strength), left_out, strength)


def add_up(parts: Sequence[Sums]) -> Sums:
    """Return the sums over the windows of all parts together."""
    hh = functools.reduce(torch.add, (part.hh for part in parts))
    hr = functools.reduce(torch.add, (part.hr for part in parts))  # 25 MB each: never all of them in one more copy
    return Sums(hh, hr, parts[0].around, sum(part.windows for part in parts))


def solve(sums: Sums, teacher: Dense, strength: float) -> Dense:
    """Return the dense layer [f + 1, 3200] that minimises |H W - Y|^2 + strength n |W - W_teacher|^2."""
    return _diagonal(sums, teacher).solution(teacher, strength)


def excess_errors(fitted: Sums, unseen: Sums, teacher: Dense) -> Tensor:
    """Return for every strength how much |H W - Y|^2 over unseen windows exceeds the teacher's; below 0 is better."""
    return _excess_errors(_diagonal(fitted, teacher), unseen, teacher)


def left_over(regression: Regression, dense_by_fold: Mapping[int, Dense]) -> LeftOver:
    """Return what is left over of the windows of fold after fold, predicted by the dense layer given for each fold.

    Of a single fold, statistics can be cross-fitted by five stretches of its windows.
    """
    windows = regression.windows
    held_out = {fold: windows.in_order(windows.held_out(fold)) for fold in dense_by_fold}
    parts = [
        _rest_of(regression, batch, dense_by_fold[fold])
        for fold, indices in held_out.items()
        for batch in batches(indices, _TAKEN_AT_ONCE)
    ]
    order = np.concatenate(list(held_out.values()))
    return LeftOver(
        error_db=np.concatenate([error for error, _ in parts]),
        residual_db=np.concatenate([residual for _, residual in parts]),
        fold=windows.first_fold[order] if len(held_out) > 1 else five_stretches(len(order)),
        run=windows.runs(order),
        stride_frames=windows.stride_frames,
    )


def dense_of(predictor: Predictor) -> Dense:
    """Return the dense layer of a predictor."""
    layer = predictor.dense
    return torch.cat([layer.weight.detach().T, layer.bias.detach()[None]]).to(torch.float64)


def with_dense(predictor: PredictorT, dense: Dense) -> PredictorT:
    """Return a copy of a predictor with that dense layer."""
    replaced = copy.deepcopy(predictor)
    with torch.no_grad():
        replaced.dense.weight.copy_(dense[:-1].T)
        replaced.dense.bias.copy_(dense[-1])
    return replaced


class _LeftOut(Mapping[int, Dense]):
    """The solution without each fold, made when it is asked for."""

    def __init__(self, solutions: Sequence[Callable[[], Dense]]) -> None:
        self._solutions = solutions

    def __getitem__(self, fold: int) -> Dense:
        return self._solutions[fold]()

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self._solutions)))

    def __len__(self) -> int:
        return len(self._solutions)


@dataclass(frozen=True, eq=False)
class _Diagonal:
    """A regression in the directions in which its features are uncorrelated: H'H = V diag(power) V'.

    There a solution of any strength is a division: W = W_teacher + V diag(1 / (power + strength n)) V'C, where
    C = H'(Y - H W_teacher).
    """

    directions: Tensor
    power: Tensor
    correction: Tensor
    """V'C, float64 [f + 1, 3200]."""
    windows: int

    def shares(self, strengths: Tensor) -> Tensor:
        """Return 1 / (power + strength n), float64 [strengths, f + 1]."""
        return 1 / (self.power + strengths[:, None] * self.windows)

    def solution(self, teacher: Dense, strength: float) -> Dense:
        """Return the dense layer at a strength."""
        shares = self.shares(torch.tensor([strength], dtype=torch.float64))
        change: Dense = (self.directions * shares) @ self.correction
        return teacher + change


def _diagonal(sums: Sums, teacher: Dense) -> _Diagonal:
    power, directions = torch.linalg.eigh(sums.hh)
    return _Diagonal(directions, power.clamp(min=0), directions.T @ _correction(sums, teacher), sums.windows)


def _excess_errors(fitted: _Diagonal, unseen: Sums, teacher: Dense) -> Tensor:
    """Return the excess errors in those directions, where each strength costs one product of a vector and a matrix.

    With P = diag(shares), C and G the corrections of fitted and unseen windows, and A the H'H of the unseen ones, all
    in those directions, the excess is tr(P A P C C') - 2 tr(P G C').
    """
    turned = fitted.directions.T @ unseen.hh @ fitted.directions
    squares = turned * (fitted.correction @ fitted.correction.T)
    slopes = ((fitted.directions.T @ _correction(unseen, teacher)) * fitted.correction).sum(1)
    shares = fitted.shares(torch.tensor(STRENGTHS, dtype=torch.float64))
    return ((shares @ squares) * shares).sum(1) - 2 * (shares @ slopes)


def _sums_of(features: Tensor, targets: Tensor, around: Dense) -> Sums:
    rest = targets.to(torch.float64) - features @ around
    return Sums(features.T @ features, features.T @ rest, around, len(targets))


def _correction(sums: Sums, teacher: Dense) -> Tensor:
    """Return H'(Y - H W_teacher): as it is for the dense layer that the sums are around, which is the usual one."""
    alike = teacher is sums.around or torch.equal(teacher, sums.around)
    return sums.hr if alike else sums.hr - sums.hh @ (teacher - sums.around)


def _with_ones(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones((len(features), 1))], dim=1).to(torch.float64)


def _rest_of(
    regression: Regression, batch: Indices, dense: Dense
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the errors [n] and the mean residuals [n, 128] of windows, both in dB."""
    standardised, _, deviation = standardise(torch.from_numpy(regression.windows.gather(batch)))
    predicted = _with_ones(regression.features[torch.from_numpy(batch)]) @ dense
    rest = (standardised[:, INPUT_FRAMES:].flatten(1) - predicted) * (CODE_STEP_DB * deviation.flatten()[:, None])
    mean = rest.reshape(-1, TARGET_FRAMES, FRAME_BINS).mean(1)
    return rest.square().mean(1).sqrt().numpy().astype(np.float32), mean.numpy().astype(np.float32)
