"""How windows are standardised before prediction, and how far a prediction is from the measurement."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import CODE_STEP_DB, INPUT_FRAMES

SMALLEST_DEVIATION: Final = 1.0
"""Codes: a window steadier than its own quantisation must not be blown up."""


def standardise(
    windows: NDArray[Any],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Map windows [n, 125, 128] to (standardised float32 [n, 125, 128], mean float32 [n], deviation float32 [n]).

    One mean and one deviation a window, in codes, both of its 100 input frames and applied to the 25 target frames
    too. The deviation divides by the number of values, not one less, and is at least one code. Undo it with
    `standardised * deviation + mean`.
    """
    inputs = windows[:, :INPUT_FRAMES]
    mean = inputs.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
    centered = windows - mean[:, None, None]
    variance = np.square(centered[:, :INPUT_FRAMES]).mean(axis=(1, 2))
    deviation = np.maximum(np.sqrt(variance), np.float32(SMALLEST_DEVIATION))
    centered /= deviation[:, None, None]
    return centered, mean, deviation


def error_db(measured_codes: NDArray[Any], predicted_codes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the error of each prediction, float32 [n], for target frames in codes [n, 25, 128] twice.

    It is the root of the mean squared difference over all bins and frames, in dB (seed paper).
    """
    difference = predicted_codes - measured_codes.astype(np.float32)
    mean_square: NDArray[np.float32] = np.square(difference, dtype=np.float32).mean(axis=(1, 2))
    return np.float32(CODE_STEP_DB) * np.sqrt(mean_square)
