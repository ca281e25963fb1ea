"""Fit a predictor by Adam, epoch by epoch, so that a fit that is killed goes on where it stopped."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bandwatch.spectrogram.bands import INPUT_FRAMES
from training_worker.learning import checkpoint
from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import Indices, WindowSet, batches
from training_worker.learning.networks import Predictor, PredictorT, refittable_copy, standardise

Report = Callable[[int, float, float | None], None]
"""Hears the epoch in hand counted from one, the share of it that is done, and at its end the least validation error."""


@dataclass(frozen=True)
class FitOptions:
    """How to fit: Adam on the mean squared error, in batches of 64, stopped early (seed paper).

    On recordings of real cells a learning rate of 3e-3 brought teachers in a third of the epochs to the error that
    1e-3 reached, and refits of LSTM layers to a lower one.
    """

    max_epochs: int
    seed: int
    frozen_layers: int = 0
    learning_rate: float = 3e-3
    patience_epochs: int = 5
    batch_windows: int = 64


@dataclass
class _State:
    """Everything that changes from epoch to epoch. The order of windows follows from seed and epoch alone."""

    predictor: Predictor
    optimizer: torch.optim.Adam
    best_weights: dict[str, torch.Tensor]
    best_error_db: float
    best_epoch: int = 0
    epoch: int = 0


def fit(
    start: PredictorT, windows: WindowSet, held_out_fold: int, options: FitOptions, path: Path, report: Report
) -> PredictorT:
    """Return a copy of `start` fitted to the windows outside one fold, with the weights that were best on that fold.

    Args:
        start: The weights to begin with; they are also the result where no epoch made them better.
        windows: The windows, standardised batch by batch.
        held_out_fold: Fold whose blocks are never fitted and stop the fit early.
        options: How to fit.
        path: Checkpoint file, written after every epoch and continued from when it is there already.
        report: Hears of every batch.

    Raises:
        InvalidArgumentError: The network has not as many layers as are to be frozen.
    """
    fitted, held_out = windows.fitted(held_out_fold), windows.held_out(held_out_fold)
    plan = f"{options} {held_out_fold} {len(fitted)} {len(held_out)}"
    state = _begin(start, options)
    if (saved := checkpoint.load(path, plan)) is not None:
        _restore(state, saved)
    else:
        state.best_error_db = float(errors_db(start, windows, held_out, lambda _: None).mean())
    while state.epoch < options.max_epochs and state.epoch - state.best_epoch < options.patience_epochs:
        _train_epoch(state, windows, fitted, options, report)
        _judge_epoch(state, windows, held_out, report)
        checkpoint.save(path, _snapshot(state, plan))
    best = copy.deepcopy(start)
    best.load_state_dict(state.best_weights)
    return best


def _begin(start: Predictor, options: FitOptions) -> _State:
    predictor = refittable_copy(start, options.frozen_layers)
    free = [parameter for parameter in predictor.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(free, lr=options.learning_rate)
    return _State(predictor, optimizer, best_weights=copy.deepcopy(start.state_dict()), best_error_db=float("inf"))


def _train_epoch(state: _State, windows: WindowSet, fitted: Indices, options: FitOptions, report: Report) -> None:
    order = np.random.default_rng((options.seed, state.epoch)).permutation(fitted)
    for done, batch in enumerate(batches(order, options.batch_windows)):
        report(state.epoch + 1, done * options.batch_windows / len(fitted), None)
        standardised, _, _ = standardise(torch.from_numpy(windows.gather(batch)))
        predicted = state.predictor(standardised[:, :INPUT_FRAMES])
        loss = functional.mse_loss(predicted, standardised[:, INPUT_FRAMES:])
        state.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves this method untyped
        state.optimizer.step()
    state.epoch += 1


def _judge_epoch(state: _State, windows: WindowSet, held_out: Indices, report: Report) -> None:
    error_db = float(errors_db(state.predictor, windows, held_out, lambda _: report(state.epoch, 1.0, None)).mean())
    if error_db < state.best_error_db:
        state.best_error_db, state.best_epoch = error_db, state.epoch
        state.best_weights = copy.deepcopy(state.predictor.state_dict())
    report(state.epoch, 1.0, state.best_error_db)


def _snapshot(state: _State, plan: str) -> dict[str, Any]:
    return {
        "plan": plan,
        "weights": state.predictor.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "best_weights": state.best_weights,
        "best_error_db": state.best_error_db,
        "best_epoch": state.best_epoch,
        "epoch": state.epoch,
    }


def _restore(state: _State, saved: dict[str, Any]) -> None:
    state.predictor.load_state_dict(saved["weights"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.best_weights = saved["best_weights"]
    state.best_error_db = saved["best_error_db"]
    state.best_epoch = saved["best_epoch"]
    state.epoch = saved["epoch"]
