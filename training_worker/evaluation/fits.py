"""Networks fitted by Adam for a comparison, which keep nothing on disk."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bandwatch.errors import InvalidArgumentError
from training_worker.evaluation.telling import Say
from training_worker.learning import networks
from training_worker.learning.dataset import WindowSet
from training_worker.learning.fit import FitOptions, fit
from training_worker.learning.networks import HybridPredictor, LstmConfig, PredictorT, new_predictor
from training_worker.recipes.teacher import HELD_OUT_FOLD, with_linear_skip

TEACHER_STRIDE: Final = 8
"""Frames between the starts of a teacher's windows."""
STUDENT_STRIDE: Final = 4
"""Frames between the starts of a student's windows."""
FAMILIES: Final = (networks.LSTM, networks.HYBRID, networks.LINEAR)
"""Families of students that such a teacher has."""


def fit_teacher(segments: Sequence[npt.NDArray[np.uint8]], max_epochs: int, seed: int, say: Say) -> HybridPredictor:
    """Return a hybrid fitted to segments uint8 [frames, 128]: an LSTM of two layers with a linear skip.

    Raises:
        FailedPreconditionError: The segments hold too little data.
    """
    windows = WindowSet.cut(segments, TEACHER_STRIDE, seed)
    options = FitOptions(max_epochs=max_epochs, seed=seed)
    lstm = fit_by_adam(new_predictor(LstmConfig(), seed), windows, options, "the teacher", say)
    return with_linear_skip(lstm, windows, lambda _: say("solving the teacher's linear skip"))[0]


def check_families(families: Sequence[str]) -> None:
    """See before long work that a teacher has students of those families.

    Raises:
        InvalidArgumentError: It has not.
    """
    for family in families:
        if family not in FAMILIES:
            raise InvalidArgumentError(f"there are no students of a family {family!r}: choose {', '.join(FAMILIES)}")


def fit_by_adam(start: PredictorT, windows: WindowSet, options: FitOptions, what: str, say: Say) -> PredictorT:
    """Return a copy of a network fitted to windows, stopped early by one fold of them; `what` names it to people."""
    with tempfile.TemporaryDirectory(prefix="bandwatch-fit-") as folder:
        return fit(
            start,
            windows,
            HELD_OUT_FOLD,
            options,
            Path(folder) / "checkpoint",
            lambda epoch, *_: say(f"fitting {what}: epoch {epoch} of at most {options.max_epochs}"),
        )
