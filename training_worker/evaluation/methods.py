"""Methods to compare: students of every family with all of their scores, and simple ones with one score each."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from training_worker.evaluation.judging import Judge, Scores, judge_of
from training_worker.evaluation.telling import Say
from training_worker.evaluation.thresholds import threshold_of
from training_worker.learning import networks
from training_worker.learning.baselines import BASELINES, Baseline
from training_worker.learning.calibration import calibrate
from training_worker.learning.dataset import FOLDS, Indices, WindowSet
from training_worker.learning.networks import HybridPredictor
from training_worker.recipes.families import solved_families

AUTO: Final = "auto"
"""Stands for the family with the lowest error on left-out blocks, which a student's recipe takes."""
BASELINE_SCORE: Final = "own"
"""Name of the one score of a simple method."""

Codes = npt.NDArray[np.uint8]


class Method(ABC):
    """A method that was fitted to local data, and the clean windows that it is judged on.

    Attributes:
        name: What it is called in tables.
        clean: Scores of the clean windows.
    """

    name: str
    clean: Scores

    @abstractmethod
    def standing(self, windows: Codes) -> Scores:
        """Return the scores of windows uint8 [n, 125, 128] of a stream that is anomalous all along."""

    @abstractmethod
    def sudden(self, windows: Codes) -> Scores:
        """Return the scores of windows uint8 [n, 125, 128] each of which takes the place of a clean one."""

    @abstractmethod
    def default_threshold(self, score: str, rate: float) -> float:
        """Return the threshold that local data alone suggest for a false-alarm rate."""


class StudentMethod(Method):
    """An exact student of one family."""

    def __init__(self, name: str, judge: Judge, windows: Codes, stride_frames: int) -> None:
        self.name = name
        self._judge = judge
        self._stride_frames = stride_frames
        self._outputs = judge.outputs(windows)
        self.clean = judge.in_order(self._outputs, stride_frames)

    def standing(self, windows: Codes) -> Scores:
        """Return the scores of a stream."""
        return self._judge.in_order(self._judge.outputs(windows), self._stride_frames)

    def sudden(self, windows: Codes) -> Scores:
        """Return the scores of windows that follow clean ones."""
        return self._judge.after(self._judge.outputs(windows), self._outputs, self._stride_frames)

    def default_threshold(self, score: str, rate: float) -> float:
        """Return the bound that comes with the student."""
        return threshold_of(self._judge, score, rate).bound


class BaselineMethod(Method):
    """A simple method; its thresholds are quantiles over blocks of time that were left out of its fit in turn."""

    def __init__(self, fit: Callable[[Codes], Baseline], local: WindowSet, windows: Codes) -> None:
        self._baseline = fit(local.gather(_all(local)))
        self.name = self._baseline.name
        self.clean = {BASELINE_SCORE: self._baseline.scores(windows)}
        self._left_out = np.concatenate(
            [fit(local.gather(local.fitted(fold))).scores(local.gather(local.held_out(fold))) for fold in range(FOLDS)]
        )

    def standing(self, windows: Codes) -> Scores:
        """Return its score, which knows nothing of other windows."""
        return {BASELINE_SCORE: self._baseline.scores(windows)}

    def sudden(self, windows: Codes) -> Scores:
        """Return its score, which knows nothing of other windows."""
        return self.standing(windows)

    def default_threshold(self, score: str, rate: float) -> float:
        """Return the quantile of the scores of windows that were left out."""
        del score
        return float(np.quantile(self._left_out, 1 - rate, method="inverted_cdf"))


def student_methods(
    teacher: HybridPredictor, local: WindowSet, families: Sequence[str], windows: Codes, stride_frames: int, say: Say
) -> tuple[list[Method], str | None]:
    """Return the exact student of each family, and the family that "auto" stands for if it was asked for.

    Raises:
        InvalidArgumentError: A family is unknown, or no student of it has such a teacher.
    """
    auto = AUTO in families
    named = tuple(family for family in families if family != AUTO)
    usual = (networks.HYBRID, networks.LINEAR) if auto else ()
    wanted = tuple(dict.fromkeys((*usual, *named)))
    solved = solved_families(teacher, wanted, local, lambda _: say("solving every family"))
    eligible = [one for one in solved if one.family in usual]
    taken = min(eligible, key=lambda one: float(one.rest.error_db.mean())).family if auto else None
    methods: dict[str, Method] = {}
    for one in solved:
        judge = judge_of(one.predictor, calibrate(one.rest))
        if one.family in named:
            methods[one.family] = StudentMethod(one.family, judge, windows, stride_frames)
        if one.family == taken:
            methods[AUTO] = StudentMethod(AUTO, judge, windows, stride_frames)
    return [methods[family] for family in families], taken


def baseline_methods(local: WindowSet, windows: Codes, say: Say) -> list[Method]:
    """Return every simple method."""
    methods: list[Method] = []
    for name, fit in BASELINES.items():
        say(f"fitting {name}")
        methods.append(BaselineMethod(fit, local, windows))
    return methods


def _all(local: WindowSet) -> Indices:
    return np.arange(len(local))
