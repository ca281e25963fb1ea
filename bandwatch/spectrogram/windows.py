"""Windows of 125 frames, cut from contiguous frames at any stride."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import WINDOW_FRAMES


def cut_windows(codes: NDArray[np.uint8], stride_frames: int) -> NDArray[np.uint8]:
    """Show codes [n, 128] as whole windows [m, 125, 128], one every `stride_frames`: a read-only view, nothing copied.

    m = (n - 125) // stride_frames + 1, and 0 when n is below 125.

    Raises:
        InvalidArgumentError: The stride is below one frame.
    """
    if stride_frames < 1:
        raise InvalidArgumentError(f"windows cannot be {stride_frames} frames apart: use a stride of 1 or more")
    if len(codes) < WINDOW_FRAMES:
        return np.empty((0, WINDOW_FRAMES, *codes.shape[1:]), dtype=codes.dtype)
    windows = sliding_window_view(codes, WINDOW_FRAMES, axis=0)[::stride_frames]
    return windows.transpose(0, 2, 1)
