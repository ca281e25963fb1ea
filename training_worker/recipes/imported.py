"""Make a model of a network that was trained elsewhere."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training_worker.learning.calibration import left_over
from training_worker.learning.dataset import WindowSet
from training_worker.learning.keras import read_keras
from training_worker.recipes.progress import Progress, ProgressReporter
from training_worker.recipes.trained import Origin, TrainedModel, trained_model


def import_keras(
    path: Path,
    segments: Sequence[npt.NDArray[np.uint8]],
    stride_frames: int,
    report: Callable[[Progress], None],
) -> TrainedModel:
    """Return the network of a Keras 2 file as it is, scored and calibrated on segments uint8 [frames, 128].

    Its authors may have scaled spectra in another way than we do. Then its errors are large, and students of it, whose
    dense layer is solved again, are what it is good for.

    Raises:
        FailedPreconditionError: h5py is not installed, or the segments hold too little data.
        NotFoundError: There is no such file.
        CorruptError: The file is damaged, or the exported graph does not compute what torch computes.
        InvalidArgumentError: The file holds another network.
    """
    tell = ProgressReporter(report).tell
    published = read_keras(path)
    windows = WindowSet.cut(segments, stride_frames, seed=0)
    every = np.arange(len(windows))
    rest = left_over(published, windows, every, lambda share: tell("scoring", 0.9 * share))
    tell("exporting", 0.9)
    model = trained_model(published, rest, Origin(choice=f"Imported from {path.name}."))
    tell("built", 1.0)
    return model
