"""The dense layer from the side of the windows: the same ridge regression, cheaper with fewer windows than features.

With R = Y - H W_teacher the solution is W = W_teacher + H' (H H' + strength n)^-1 R (the kernel form of ridge
regression: Saunders et al. 1998). Its matrices have the size of the number of windows. Leaving a fold out is leaving
its rows out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Fold:
    """Windows that are fitted, in the directions in which they are uncorrelated, and windows that are unseen.

    Attributes:
        features: float64 [n, f], of the fitted windows, in those directions.
        rest: float64 [n, targets], what the teacher leaves over of them, in those directions.
        power: float64 [n], the eigenvalues of H H', whose eigenvectors are the directions.
        unseen: float64 [m, n], products of unseen and fitted features, in those directions.
        unseen_rest: float64 [m, targets].
    """

    features: Tensor
    rest: Tensor
    power: Tensor
    unseen: Tensor
    unseen_rest: Tensor

    @classmethod
    def of(cls, features: Tensor, rest: Tensor, fitted: Tensor, unseen: Tensor) -> Self:
        """Return the fold of windows with features [all, f] and rest [all, targets], by the numbers of windows."""
        own = features[fitted]
        power, directions = torch.linalg.eigh(own @ own.T)
        turned = directions.T @ own
        return cls(turned, directions.T @ rest[fitted], power.clamp(min=0), features[unseen] @ turned.T, rest[unseen])

    def excess_errors(self, strengths: Sequence[float]) -> Tensor:
        """Return for every strength how much the squared error over unseen windows exceeds the teacher's.

        Predictions are U P R with U the products, P = diag(1 / (power + strength n)) and R the rest, in the
        directions: |U P R|^2 - 2 tr((U P R)' R_unseen) needs only R R' and R R_unseen'.
        """
        squares = (self.rest @ self.rest.T) * (self.unseen.T @ self.unseen)
        slopes = ((self.rest @ self.unseen_rest.T) * self.unseen.T).sum(1)
        shares = 1 / (self.power + torch.tensor(strengths, dtype=torch.float64)[:, None] * len(self.rest))
        return ((shares @ squares) * shares).sum(1) - 2 * (shares @ slopes)

    def change(self, strength: float) -> Tensor:
        """Return what the solution adds to the teacher's dense layer, float64 [f, targets]."""
        shares = 1 / (self.power + strength * len(self.rest))
        change: Tensor = (self.features.T * shares) @ self.rest
        return change
