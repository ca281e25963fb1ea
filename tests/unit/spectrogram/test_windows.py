"""Windows against plain slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.windows import cut_windows


@given(frames=st.integers(0, 400), stride=st.integers(1, 200))
def test_windows_are_the_whole_slices_of_125_frames_at_the_stride(frames: int, stride: int) -> None:
    codes = np.random.default_rng(frames).integers(0, 256, (frames, 128), dtype=np.uint8)
    expected = [codes[start : start + 125] for start in range(0, frames - 124, stride)]
    windows = cut_windows(codes, stride)
    assert windows.shape == (len(expected), 125, 128)
    for window, slice_ in zip(windows, expected, strict=True):
        np.testing.assert_array_equal(window, slice_)


def test_windows_share_the_memory_of_the_frames_and_cannot_be_written() -> None:
    codes = np.zeros((300, 128), dtype=np.uint8)
    windows = cut_windows(codes, 25)
    assert np.shares_memory(windows, codes)
    with pytest.raises(ValueError, match="read-only"):
        windows[0, 0, 0] = 1


def test_a_stride_of_no_frames_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="stride of 1 or more"):
        cut_windows(np.zeros((300, 128), dtype=np.uint8), 0)
