"""The graph without weights, the weights by name, and the way back."""

import numpy as np
import onnx
import pytest
import torch

from bandwatch.errors import CorruptError
from training_worker.learning.export import Tensors, check_against_torch, load_predictor, score, tensors
from training_worker.learning.networks import FAMILY, LstmConfig, Scorer, new_predictor

PREDICTOR = new_predictor(LstmConfig(), seed=5)


def test_the_graph_holds_every_parameter_by_name_and_no_weights(graph: bytes) -> None:
    model = onnx.ModelProto.FromString(graph)
    external = {tensor.name: tensor for tensor in model.graph.initializer if tensor.external_data}
    assert {name: tuple(tensor.dims) for name, tensor in external.items()} == {
        name: array.shape for name, array in tensors(PREDICTOR).items()
    }
    for name, tensor in external.items():
        assert [(entry.key, entry.value) for entry in tensor.external_data] == [("location", name)]
        assert not tensor.raw_data
    assert len(graph) < 50_000


def test_the_graph_says_nothing_of_who_exported_it(graph: bytes) -> None:
    assert b"site-packages" not in graph
    assert b"/training_worker/" not in graph
    assert b"File " not in graph


@pytest.mark.parametrize("count", [1, 2, 64])
def test_the_graph_serves_any_weights_in_any_batch(graph: bytes, count: int) -> None:
    codes = np.random.default_rng(count).integers(60, 140, (count, 125, 128), dtype=np.uint8)
    error_db, predicted = score(graph, tensors(PREDICTOR), codes)
    with torch.inference_mode():
        expected_db, expected = Scorer(PREDICTOR)(torch.from_numpy(codes))
    np.testing.assert_allclose(error_db, expected_db.numpy(), atol=1e-4)
    np.testing.assert_allclose(predicted / 2, expected.numpy() / 2, atol=1e-4)


def test_the_check_accepts_what_was_exported(graph: bytes) -> None:
    check_against_torch(graph, PREDICTOR)


def test_the_check_refuses_a_graph_that_computes_something_else(graph: bytes) -> None:
    exchanged = {"lstm.bias_ih_l0": "lstm.bias_ih_l1", "lstm.bias_ih_l1": "lstm.bias_ih_l0"}
    model = onnx.ModelProto.FromString(graph)
    for node in model.graph.node:
        node.input[:] = [exchanged.get(name, name) for name in node.input]
    with pytest.raises(CorruptError, match="must not be released"):
        check_against_torch(model.SerializeToString(), PREDICTOR)


@pytest.mark.parametrize("damage", [b"", b"no graph", b"half"])
def test_a_graph_that_cannot_be_loaded_is_refused(graph: bytes, damage: bytes) -> None:
    damaged = graph[: len(graph) // 2] if damage == b"half" else damage
    with pytest.raises(CorruptError):
        check_against_torch(damaged, PREDICTOR)


def test_the_check_refuses_weights_that_are_not_numbers(graph: bytes) -> None:
    broken = new_predictor(LstmConfig(), seed=5)
    with torch.no_grad():
        broken.dense.bias[0] = float("nan")
    with pytest.raises(CorruptError, match="must not be released"):
        check_against_torch(graph, broken)


@pytest.mark.parametrize("config", [LstmConfig(), LstmConfig(layers=3, units=7)])
def test_tensors_of_any_size_come_back_as_the_predictor_that_they_were(config: LstmConfig) -> None:
    predictor = new_predictor(config, seed=2)
    loaded = load_predictor(FAMILY, tensors(predictor))
    assert loaded.config == config
    for name, value in predictor.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])


def without(weights: Tensors, name: str) -> Tensors:
    return {key: array for key, array in weights.items() if key != name}


@pytest.mark.parametrize(
    "weights",
    [
        {},
        without(tensors(PREDICTOR), "dense.bias"),
        without(tensors(PREDICTOR), "lstm.weight_hh_l0"),
        tensors(PREDICTOR) | {"dense.bias": np.zeros(5, dtype=np.float32)},
        tensors(PREDICTOR) | {"lstm.weight_hh_l0": np.zeros((64, 64), dtype=np.float32)},
        tensors(PREDICTOR) | {"lstm.weight_hh_l0": np.zeros((0, 0), dtype=np.float32)},
        tensors(PREDICTOR) | {"surplus": np.zeros(1, dtype=np.float32)},
        tensors(PREDICTOR) | {"dense.bias": np.full(3200, np.inf, dtype=np.float32)},
    ],
    ids=["empty", "no bias", "no LSTM", "short bias", "odd LSTM", "no units", "surplus", "infinite"],
)
def test_tensors_that_are_no_network_are_refused(weights: Tensors) -> None:
    with pytest.raises(CorruptError):
        load_predictor(FAMILY, weights)


def test_a_family_that_the_worker_does_not_know_is_refused() -> None:
    with pytest.raises(CorruptError, match="deep-autoencoder"):
        load_predictor("deep-autoencoder", tensors(PREDICTOR))


def test_tensors_are_copies() -> None:
    tensors(PREDICTOR)["dense.bias"][:] = 0
    assert PREDICTOR.dense.bias.abs().max() > 0
