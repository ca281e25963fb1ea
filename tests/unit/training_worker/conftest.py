"""Frames that repeat like a cell's, and teachers that all tests of this folder share."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.unit.training_worker.small_networks import new_hybrid, new_linear, with_random_dense
from training_worker.learning import networks
from training_worker.learning.networks import LstmConfig, Predictor, new_predictor
from training_worker.recipes.teacher import TeacherOptions, build_teacher
from training_worker.recipes.trained import TrainedModel

Codes = npt.NDArray[np.uint8]
MakeFrames = Callable[[int, int], Codes]
TrainTeacher = Callable[[str], TrainedModel]


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
def make_predictor() -> Callable[[str], Predictor]:
    """Give a maker of a predictor of each family, with random weights everywhere; LSTMs are small."""

    def make(family: str) -> Predictor:
        small = LstmConfig(layers=2, units=5)
        predictors: dict[str, Predictor] = {
            networks.LSTM: new_predictor(small, seed=1),
            networks.HYBRID: new_hybrid(small),
            networks.LINEAR: new_linear(),
            networks.AUTOENCODER: networks.new_autoencoder(4, seed=1),
        }
        return with_random_dense(predictors[family], seed=2)

    return make


@pytest.fixture(scope="session")
def trained_teacher(make_frames: MakeFrames, tmp_path_factory: pytest.TempPathFactory) -> TrainTeacher:
    """Give a teacher of each family of two cells, trained when it is first asked for."""
    segments = [make_frames(1200, 1), make_frames(1200, 2)]
    trained: dict[str, TrainedModel] = {}

    def teacher(family: str) -> TrainedModel:
        if family not in trained:
            options = TeacherOptions(max_epochs=2, stride_frames=20, seed=1, family=family)
            trained[family] = build_teacher(options, segments, tmp_path_factory.mktemp(family), lambda _: None)
        return trained[family]

    return teacher


@pytest.fixture(scope="session")
def graph(trained_teacher: TrainTeacher) -> bytes:
    """Give the graph of an LSTM predictor of the usual size."""
    return trained_teacher(networks.LSTM).graph
