"""Networks as jobs: fitted from random weights, or refitted from a teacher."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from bandwatch.errors import InvalidArgumentError
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job
from training_worker.evaluation.paper.scenes import Scene, hearing_s
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver, left_over
from training_worker.learning.dataset import WindowSet
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import LstmConfig, LstmPredictor, Predictor
from training_worker.learning.restore import load_predictor
from training_worker.recipes.teacher import HELD_OUT_FOLD, with_linear_skip

_TENSOR: Final = "tensor/"
_SECONDS_A_WINDOW: Final = 0.7e-3  # training two LSTM layers with one window
_PATIENCE: Final = 4  # a fit stops after a quarter of its epochs without gain


@dataclass(frozen=True)
class Fitting:
    """How networks are fitted.

    Attributes:
        stride_frames: Frames between the starts of windows.
        passes: Windows that the gradient sees at most, each as often as it is seen. So little data and much get the
            same number of steps, if the fit does not stop early.
        seed: Random weights, the order of windows, and the deal of time blocks to folds follow from it.
        learning_rate: Of Adam.
    """

    stride_frames: int
    passes: int
    seed: int
    learning_rate: float = FitOptions.learning_rate


@dataclass(frozen=True)
class Scratch(Job):
    """A network that is fitted to scenes from random weights."""

    name: str
    scenes: tuple[Scene, ...]
    fitting: Fitting
    family: str = networks.LSTM
    layers: int = 2

    @property
    def label(self) -> str:
        """What it is."""
        return f"training {self.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        share = 0.4 if self.family == networks.AUTOENCODER else self.layers / 2
        return hearing_s(self.scenes) + share * self.fitting.passes * _SECONDS_A_WINDOW

    def run(self, bench: Bench) -> Arrays:
        """Fit it."""
        windows = windows_of(bench, self.scenes, self.fitting)
        if self.family == networks.AUTOENCODER:
            start: Predictor = networks.new_autoencoder(self.layers, self.fitting.seed)
        else:
            start = networks.new_predictor(LstmConfig(self.layers), self.fitting.seed)
        return _solved(_fitted(bench, self, start, windows, frozen_layers=0), windows)


@dataclass(frozen=True)
class Refit(Job):
    """A teacher that is refitted to scenes.

    Attributes:
        name: What it is.
        teacher: What it starts from.
        scenes: What it is refitted to.
        fitting: How.
        free_layers: Layers that are refitted, counted from the output; 1 is the dense layer alone.
        method: "exact" solves the dense layer, and where more are free, Adam goes on from there; "adam" goes on from
            the teacher's own weights.
    """

    name: str
    teacher: "Scratch | Skip"
    scenes: tuple[Scene, ...]
    fitting: Fitting
    free_layers: int = 1
    method: Literal["exact", "adam"] = "exact"

    @property
    def label(self) -> str:
        """What it is."""
        return f"refitting {self.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        by_adam = self.method == "adam" or self.free_layers > 1
        passes = self.fitting.passes * (1 + self.free_layers) / 4 if by_adam else 0.0
        return hearing_s(self.scenes) + passes * _SECONDS_A_WINDOW

    @property
    def needs(self) -> tuple[Job, ...]:
        """The teacher."""
        return (self.teacher,)

    def run(self, bench: Bench) -> Arrays:
        """Refit it."""
        teacher = predictor_of(bench.arrays(self.teacher))
        windows = windows_of(bench, self.scenes, self.fitting)
        frozen_layers = teacher.body_layers + 1 - self.free_layers
        if self.method == "adam":
            fitted = _fitted(bench, self, teacher, windows, frozen_layers)
            return _arrays(fitted, left_over(fitted, windows, windows.held_out(HELD_OUT_FOLD), lambda _: None))
        regression = exact.regress(teacher, windows, lambda _: None)
        solution = exact.fit_exactly(regression, exact.dense_of(teacher))
        if self.free_layers == 1:
            return _arrays(exact.with_dense(teacher, solution.dense), exact.left_over(regression, solution.left_out))
        start = exact.with_dense(teacher, solution.left_out[HELD_OUT_FOLD])
        return _solved(_fitted(bench, self, start, windows, frozen_layers), windows)


@dataclass(frozen=True)
class Skip(Job):
    """The hybrid of an LSTM that was trained before, with its linear skip solved on the same scenes."""

    teacher: Scratch

    @property
    def name(self) -> str:
        """What it is in a sentence."""
        return f"{self.teacher.name} with a linear skip"

    @property
    def label(self) -> str:
        """What it is."""
        return f"solving {self.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return 15 + hearing_s(self.teacher.scenes)

    @property
    def needs(self) -> tuple[Job, ...]:
        """The LSTM."""
        return (self.teacher,)

    def run(self, bench: Bench) -> Arrays:
        """Solve it."""
        lstm = predictor_of(bench.arrays(self.teacher))
        if not isinstance(lstm, LstmPredictor):
            raise InvalidArgumentError(f"only an LSTM predictor has a hybrid, not {lstm.family}")
        windows = windows_of(bench, self.teacher.scenes, self.teacher.fitting)
        return _arrays(*with_linear_skip(lstm, windows, lambda _: None))


Model = Scratch | Refit
"""A network that a job makes."""


def predictor_of(arrays: Arrays) -> Predictor:
    """Return the network that a job made."""
    weights = {name.removeprefix(_TENSOR): array for name, array in arrays.items() if name.startswith(_TENSOR)}
    return load_predictor(str(arrays["family"]), weights).eval()


def left_over_of(arrays: Arrays) -> LeftOver:
    """Return what a network that a job made leaves over of windows that were not fitted."""
    return LeftOver(
        arrays["error_db"], arrays["residual_db"], arrays["fold"], arrays["run"], int(arrays["stride_frames"])
    )


def windows_of(bench: Bench, scenes: Sequence[Scene], fitting: Fitting) -> WindowSet:
    """Return the windows of scenes."""
    return WindowSet.cut([bench.listener.hear(scene) for scene in scenes], fitting.stride_frames, fitting.seed)


def _fitted(bench: Bench, job: Model, start: Predictor, windows: WindowSet, frozen_layers: int) -> Predictor:
    """Fit by Adam, from a checkpoint where an earlier run left one; patience grows with the number of epochs."""
    epochs = max(1, round(job.fitting.passes / len(windows.fitted(HELD_OUT_FOLD))))
    options = FitOptions(
        max_epochs=epochs,
        seed=job.fitting.seed,
        frozen_layers=frozen_layers,
        learning_rate=job.fitting.learning_rate,
        patience_epochs=max(FitOptions.patience_epochs, epochs // _PATIENCE),
    )
    checkpoint = bench.path(job, "checkpoint")
    predictor = fit(start, windows, HELD_OUT_FOLD, options, checkpoint, lambda *_: None)
    checkpoint.unlink(missing_ok=True)
    return predictor


def _solved(fitted: Predictor, windows: WindowSet) -> Arrays:
    """Solve the dense layer of a fitted network exactly, so that none is better for having been solved at all.

    Only the fold that stopped the fit early can tell what is left over of windows that were not fitted.
    """
    regression = exact.regress(fitted, windows, lambda _: None)
    solution = exact.fit_exactly(regression, exact.dense_of(fitted))
    unseen = {HELD_OUT_FOLD: solution.left_out[HELD_OUT_FOLD]}
    return _arrays(exact.with_dense(fitted, solution.dense), exact.left_over(regression, unseen))


def _arrays(predictor: Predictor, rest: LeftOver) -> Arrays:
    weights = {_TENSOR + name: tensor.detach().numpy() for name, tensor in predictor.state_dict().items()}
    return weights | {
        "family": np.array(predictor.family),
        "error_db": rest.error_db,
        "residual_db": rest.residual_db,
        "fold": rest.fold,
        "run": rest.run,
        "stride_frames": np.array(rest.stride_frames),
    }
