"""How windows are standardised before prediction, and how far a prediction is from the measurement."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import CODE_STEP_DB, INPUT_FRAMES, TARGET_FRAMES

SMALLEST_DEVIATION: Final = 1.0
"""Codes: a window steadier than its own quantisation must not be blown up."""
STANDING_WINDOWS: Final = 8
"""Windows that the score for standing signals looks back on: 51 ms of target frames."""


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


def standing_scores(
    bands: NDArray[np.float32], earlier: NDArray[np.float32], stride_frames: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what stands out of the latest windows together, float32 [n], and the rows that the next call goes on from.

    Each row is the sum of the band residuals of up to 8 windows whose target frames do not overlap, over the root of
    their number, and its score is the largest magnitude: what fluctuates averages out, and what stands adds up.

    Args:
        bands: float32 [n, bands], band residuals of windows in order, each in units of its own deviation.
        earlier: float32 [m, bands], what the last call returned; no rows at the start of a stream and after a gap.
        stride_frames: Frames between the starts of windows.
    """
    step = -(-TARGET_FRAMES // stride_frames)
    rows = np.concatenate((earlier, bands))
    sums = np.zeros_like(rows)
    counts = np.zeros((len(rows), 1), np.float32)
    for back in range(0, min(STANDING_WINDOWS * step, len(rows)), step):
        sums[back:] += rows[: len(rows) - back]
        counts[back:] += 1
    standing: NDArray[np.float32] = np.abs(sums / np.sqrt(counts)).max(axis=1, initial=0)[len(earlier) :]
    return standing, rows[max(0, len(rows) - (STANDING_WINDOWS - 1) * step) :]


def combined_scores(
    scores: Mapping[str, NDArray[np.float32]], normal: Mapping[str, tuple[float, float]]
) -> NDArray[np.float32]:
    """Return float32 [n]: by how many of its own deviations the most conspicuous score of each window is above normal.

    Args:
        scores: float32 [n] by name, positive.
        normal: Mean and deviation of the logarithm of each of those scores over normal windows.
    """
    smallest = np.float32(1e-6)
    deviations = [
        (np.log(np.maximum(scores[name], smallest)) - mean) / deviation for name, (mean, deviation) in normal.items()
    ]
    combined: NDArray[np.float32] = np.max(deviations, axis=0).astype(np.float32)
    return combined
