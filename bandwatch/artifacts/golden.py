"""Windows that every party can make alike, to see that a model computes here what it computed there."""

import hashlib

import numpy as np
import numpy.typing as npt

from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES


def golden_windows(count: int) -> npt.NDArray[np.uint8]:
    """Return uint8 [count, 125, 128]: the SHAKE-256 stream of a fixed sentence, so no generator's version matters."""
    stream = hashlib.shake_256(b"bandwatch golden windows, first edition").digest(count * WINDOW_FRAMES * FRAME_BINS)
    return np.frombuffer(stream, dtype=np.uint8).reshape(count, WINDOW_FRAMES, FRAME_BINS)
