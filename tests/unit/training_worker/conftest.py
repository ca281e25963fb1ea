"""Frames that repeat like a cell's, and one exported graph for all tests of this folder."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from training_worker.learning.export import export_graph
from training_worker.learning.networks import LstmConfig, new_predictor

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Keep small networks from waiting for more threads than they can use."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_frames() -> MakeFrames:
    """Give a maker of frames [n, 128]: a spectrum by the seed, louder every 39 frames (10 ms), noise."""

    def make(count: int, seed: int) -> Codes:
        random = np.random.default_rng(seed)
        spectrum = random.normal(100, 10, 128)
        beat = 8 * np.sin(2 * np.pi * np.arange(count) / 39)
        frames = spectrum + beat[:, None] + random.normal(0, 3, (count, 128))
        codes: Codes = frames.round().clip(0, 255).astype(np.uint8)
        return codes

    return make


@pytest.fixture(scope="session")
def graph() -> bytes:
    """Give the graph of a predictor of the usual size."""
    return export_graph(new_predictor(LstmConfig(), seed=99))
