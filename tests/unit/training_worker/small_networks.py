"""Networks with combinations of lagged powers, as nobody fitted them: random, by the seed alone."""

import torch
from torch import Tensor

from training_worker.learning.networks import (
    COMBINATIONS,
    HybridPredictor,
    LaggedRegression,
    LinearPredictor,
    LstmConfig,
    PredictorT,
    hybrid_of,
    new_predictor,
)


def new_linear(combinations: int = COMBINATIONS, seed: int = 1) -> LinearPredictor:
    """Return a linear predictor with random combinations and a random dense layer."""
    linear = LinearPredictor(combinations)
    _fill(linear.lagged.weight, seed)
    return with_random_dense(linear, seed + 1)


def new_regression(seed: int = 1) -> LaggedRegression:
    """Return a regression on all lagged powers with a random dense layer."""
    return with_random_dense(LaggedRegression(), seed)


def new_hybrid(config: LstmConfig, combinations: int = COMBINATIONS, seed: int = 1) -> HybridPredictor:
    """Return the hybrid of a random LSTM predictor, which does not use its random combinations yet."""
    return hybrid_of(new_predictor(config, seed), new_linear(combinations, seed))


def with_random_dense(predictor: PredictorT, seed: int) -> PredictorT:
    """Return the predictor, its dense layer now random."""
    for parameter in predictor.dense.parameters():
        _fill(parameter, seed)
    return predictor


def _fill(parameter: Tensor, seed: int) -> None:
    with torch.no_grad():
        parameter.copy_(0.03 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
