"""Golden windows against the standard library's own SHAKE-256."""

import hashlib

import numpy as np
import pytest

from bandwatch.artifacts.golden import golden_windows


@pytest.mark.parametrize("count", [1, 3])
def test_golden_windows_are_the_stream_of_the_fixed_sentence_in_order_of_window_time_and_frequency(count: int) -> None:
    stream = hashlib.shake_256(b"bandwatch golden windows, first edition").digest(count * 16_000)
    windows = golden_windows(count)
    assert windows.dtype == np.uint8
    assert windows.shape == (count, 125, 128)
    assert windows.tobytes() == stream
    assert windows[0, 1, 2] == stream[130]


def test_the_first_bytes_never_change_between_versions() -> None:
    assert golden_windows(1).tobytes()[:8].hex() == "4c499850f5c8eaef"


def test_fewer_windows_are_the_first_of_more() -> None:
    np.testing.assert_array_equal(golden_windows(2), golden_windows(5)[:2])
