"""The ridge regression's solution by a Cholesky factor of its normal equations: another way than by eigenvectors."""

import torch

from training_worker.learning.exact import Dense, Sums


def by_cholesky(sums: Sums, teacher: Dense, strength: float) -> Dense:
    """Return the dense layer [f + 1, 3200] that minimises |H W - Y|^2 + strength n |W - W_teacher|^2."""
    pulled = sums.hh + strength * sums.windows * torch.eye(len(sums.hh), dtype=torch.float64)
    correction = sums.hr - sums.hh @ (teacher - sums.around)
    change: Dense = torch.cholesky_solve(correction, torch.linalg.cholesky(pulled))
    return teacher + change
