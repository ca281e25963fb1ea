"""What networks make of undisturbed scenes, as jobs: errors and pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from bandwatch.spectrogram.bands import CODE_STEP_DB, INPUT_FRAMES, TARGET_FRAMES
from bandwatch.spectrogram.scoring import error_db
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job
from training_worker.evaluation.paper.scenes import Scene, hearing_s
from training_worker.evaluation.paper.training import Model, predictor_of
from training_worker.learning.networks import Predictor, standardise

STRIDE_FRAMES: Final = TARGET_FRAMES
"""Frames between the starts of windows that are judged: every frame is judged once."""
_AT_ONCE: Final = 256

Codes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Errors(Job):
    """The errors of a network on scenes: "error_db" float32 [n], and "scene", the number of each window's."""

    model: Model
    scenes: tuple[Scene, ...]

    @property
    def label(self) -> str:
        """What it is."""
        return f"errors of {self.model.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return 0.5 * hearing_s(self.scenes)

    @property
    def needs(self) -> tuple[Job, ...]:
        """The network."""
        return (self.model,)

    def run(self, bench: Bench) -> Arrays:
        """Predict."""
        predictor = predictor_of(bench.arrays(self.model))
        windows = [cut_windows(bench.listener.hear(scene), STRIDE_FRAMES) for scene in self.scenes]
        errors = [error_db(of_scene[:, INPUT_FRAMES:], predicted_codes(predictor, of_scene)) for of_scene in windows]
        return {
            "error_db": np.concatenate(errors),
            "scene": np.repeat(np.arange(len(errors)), [len(of_scene) for of_scene in errors]),
        }

    def where(self, arrays: Arrays, keep: Callable[[Scene], bool] = lambda _: True) -> Floats:
        """Return the errors in dB of the windows of some scenes, float32 [n]."""
        kept = np.array([keep(scene) for scene in self.scenes])
        errors: Floats = arrays["error_db"][kept[arrays["scene"]]]
        return errors


@dataclass(frozen=True)
class Picture(Job):
    """Scenes as a network sees them, one after the other: "measured" and "predicted" in dB, float32 [frames, 128]."""

    model: Model
    scenes: tuple[Scene, ...]

    @property
    def label(self) -> str:
        """What it is."""
        return f"pictures by {self.model.name}"

    @property
    def cost_s(self) -> float:
        """About how long it takes."""
        return hearing_s(self.scenes)

    @property
    def needs(self) -> tuple[Job, ...]:
        """The network."""
        return (self.model,)

    def run(self, bench: Bench) -> Arrays:
        """Predict 25 frames after 25 frames."""
        predictor = predictor_of(bench.arrays(self.model))
        windows = np.concatenate([cut_windows(bench.listener.hear(scene), STRIDE_FRAMES) for scene in self.scenes])
        shape = (len(windows) * TARGET_FRAMES, windows.shape[2])
        return {
            "measured": windows[:, INPUT_FRAMES:].reshape(shape) * np.float32(CODE_STEP_DB),
            "predicted": predicted_codes(predictor, windows).reshape(shape) * np.float32(CODE_STEP_DB),
        }


@torch.inference_mode()
def predicted_codes(predictor: Predictor, windows: Codes) -> Floats:
    """Return codes float32 [n, 25, 128], predicted for the target frames of windows uint8 [n, 125, 128]."""
    parts: list[Floats] = []
    for begin in range(0, len(windows), _AT_ONCE):
        standardised, mean, deviation = standardise(torch.from_numpy(windows[begin : begin + _AT_ONCE].copy()))
        parts.append((predictor(standardised[:, :INPUT_FRAMES]) * deviation + mean).numpy())
    return np.concatenate(parts)
