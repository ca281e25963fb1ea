"""Adam, its early stop, and going on after the process was killed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from training_worker.learning.calibration import errors_db
from training_worker.learning.dataset import WindowSet
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, LstmPredictor, new_predictor

OPTIONS = FitOptions(max_epochs=4, seed=3, batch_windows=16)
FOLD = 2


class KilledError(Exception):
    """Stands for the end of the process."""


class Listener:
    """Keeps every epoch's validation error, and kills the fit in the middle of one epoch when told to."""

    def __init__(self, killed_in_epoch: int | None = None) -> None:
        self.validation_errors_db: dict[int, float] = {}
        self.shares: list[float] = []
        self._killed_in_epoch = killed_in_epoch

    def __call__(self, epoch: int, share: float, validation_error_db: float | None) -> None:
        """Hear of a batch or of an epoch's end."""
        self.shares.append(epoch - 1 + share)
        if validation_error_db is not None:
            self.validation_errors_db[epoch] = validation_error_db
        elif epoch == self._killed_in_epoch and share > 0.4:
            raise KilledError


@pytest.fixture(scope="module")
def windows(make_frames: Callable[[int, int], npt.NDArray[np.uint8]]) -> WindowSet:
    return WindowSet.cut([make_frames(1000, 1)], stride_frames=10, seed=0)


@pytest.fixture
def start() -> LstmPredictor:
    return new_predictor(LstmConfig(layers=2, units=6), seed=1)


def same_weights(first: LstmPredictor, second: LstmPredictor) -> bool:
    return all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def mean_error_db(predictor: LstmPredictor, windows: WindowSet) -> float:
    return float(errors_db(predictor, windows, windows.held_out(FOLD), lambda _: None).mean())


def test_a_fit_learns_what_repeats_and_leaves_its_start_alone(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    before_db = mean_error_db(start, windows)
    eager = replace(OPTIONS, max_epochs=10, learning_rate=0.03)
    fitted = fit(start, windows, FOLD, eager, tmp_path / "fit", Listener())
    assert mean_error_db(fitted, windows) < 0.7 * before_db
    assert same_weights(start, new_predictor(LstmConfig(layers=2, units=6), seed=1))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    first = fit(start, windows, FOLD, OPTIONS, tmp_path / "first", Listener())
    again = fit(start, windows, FOLD, OPTIONS, tmp_path / "again", Listener())
    other = fit(start, windows, FOLD, replace(OPTIONS, seed=4), tmp_path / "other", Listener())
    assert same_weights(first, again)
    assert not same_weights(first, other)


@pytest.mark.parametrize("killed_in_epoch", [1, 3])
def test_a_killed_fit_goes_on_to_exactly_the_weights_of_one_that_was_never_killed(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path, killed_in_epoch: int
) -> None:
    whole = fit(start, windows, FOLD, OPTIONS, tmp_path / "whole", Listener())
    with pytest.raises(KilledError):
        fit(start, windows, FOLD, OPTIONS, tmp_path / "killed", Listener(killed_in_epoch))
    listener = Listener()
    resumed = fit(start, windows, FOLD, OPTIONS, tmp_path / "killed", listener)
    assert same_weights(whole, resumed)
    assert sorted(listener.validation_errors_db) == list(range(killed_in_epoch, 5))


def test_a_fit_that_had_ended_is_not_repeated(windows: WindowSet, start: LstmPredictor, tmp_path: Path) -> None:
    ended = fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", Listener())
    listener = Listener()
    assert same_weights(ended, fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", listener))
    assert not listener.shares


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", b"half"])
def test_a_damaged_checkpoint_costs_time_and_nothing_else(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path, damage: bytes
) -> None:
    whole = fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", Listener())
    written = (tmp_path / "fit").read_bytes()
    (tmp_path / "fit").write_bytes(written[: len(written) // 2] if damage == b"half" else damage)
    listener = Listener()
    assert same_weights(whole, fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", listener))
    assert min(listener.validation_errors_db) == 1


def test_a_checkpoint_of_another_plan_is_not_continued(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    fit(start, windows, FOLD, replace(OPTIONS, seed=9), tmp_path / "fit", Listener())
    listener = Listener()
    fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", listener)
    assert min(listener.validation_errors_db) == 1


def test_a_fit_stops_when_held_out_windows_stop_improving_and_keeps_the_best_weights(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    listener = Listener()
    harmful = FitOptions(max_epochs=50, seed=1, learning_rate=50.0, patience_epochs=3, batch_windows=16)
    fitted = fit(start, windows, FOLD, harmful, tmp_path / "fit", listener)
    assert len(listener.validation_errors_db) == 3
    assert same_weights(fitted, start)


def test_the_error_of_the_result_is_the_least_that_was_reported(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    listener = Listener()
    fitted = fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", listener)
    assert mean_error_db(fitted, windows) == min(listener.validation_errors_db.values())


@pytest.mark.parametrize(("frozen_layers", "kept"), [(1, {"lstm_l0"}), (2, {"lstm_l0", "lstm_l1"})])
def test_frozen_layers_keep_every_bit(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path, frozen_layers: int, kept: set[str]
) -> None:
    fitted = fit(start, windows, FOLD, replace(OPTIONS, frozen_layers=frozen_layers), tmp_path / "fit", Listener())
    for name, value in start.state_dict().items():
        is_kept = any(name.startswith("lstm") and name.endswith(layer[-3:]) for layer in kept)
        assert torch.equal(value, fitted.state_dict()[name]) == is_kept, name


def test_progress_is_told_within_every_epoch_and_never_goes_back(
    windows: WindowSet, start: LstmPredictor, tmp_path: Path
) -> None:
    listener = Listener()
    fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", listener)
    assert listener.shares == sorted(listener.shares)
    assert listener.shares[-1] == OPTIONS.max_epochs
    assert len(listener.shares) > 4 * OPTIONS.max_epochs


def test_no_half_written_checkpoint_stays_behind(windows: WindowSet, start: LstmPredictor, tmp_path: Path) -> None:
    fit(start, windows, FOLD, OPTIONS, tmp_path / "fit", Listener())
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
