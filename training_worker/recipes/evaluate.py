"""What a published model says of frames that it has not seen, computed as observers compute it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.manifest import ErrorStatistics
from bandwatch.errors import FailedPreconditionError
from bandwatch.spectrogram.bands import WINDOW_FRAMES
from bandwatch.spectrogram.windows import cut_windows
from training_worker.learning.calibration import error_statistics
from training_worker.learning.export import score
from training_worker.recipes.trained import TeacherModel

_SCORED_AT_ONCE = 1024


def evaluate(model: TeacherModel, segments: Sequence[npt.NDArray[np.uint8]], stride_frames: int) -> ErrorStatistics:
    """Return the errors in dB of a model over every window of segments uint8 [frames, 128].

    Raises:
        FailedPreconditionError: No segment holds a window.
    """
    windows = [cut_windows(segment, stride_frames) for segment in segments if len(segment) >= WINDOW_FRAMES]
    if not windows:
        raise FailedPreconditionError(f"give frames in pieces of at least {WINDOW_FRAMES}: a window needs that many")
    errors = [
        score(model.graph, model.tensors, np.ascontiguousarray(part[start : start + _SCORED_AT_ONCE]))[0]
        for part in windows
        for start in range(0, len(part), _SCORED_AT_ONCE)
    ]
    return error_statistics(np.concatenate(errors))
