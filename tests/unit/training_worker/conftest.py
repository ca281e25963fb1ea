"""Frames that repeat like a cell's, and one exported graph for all tests of this folder."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from training_worker.learning.export import export_graph
from training_worker.learning.networks import LstmConfig, new_predictor

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]


@pytest.fixture(scope="session")
def make_frames() -> MakeFrames:
    """Give a maker of frames [n, 128] that repeat every 39 frames (10 ms), with noise; the seed chooses the cell."""

    def make(count: int, seed: int) -> Codes:
        random = np.random.default_rng(seed)
        pattern = random.normal(0, 10, (39, 128))
        frames = 100 + pattern[np.arange(count) % 39] + random.normal(0, 3, (count, 128))
        return frames.round().clip(0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def graph() -> bytes:
    """Give the graph of a predictor of the usual size."""
    return export_graph(new_predictor(LstmConfig(), seed=99))
