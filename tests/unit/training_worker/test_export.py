"""The graph without weights, the weights by name, and what onnxruntime makes of both."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from bandwatch.errors import CorruptError
from training_worker.learning import networks
from training_worker.learning.export import OUTPUTS, Session, check_against_torch, export_graph, outputs_of, tensors
from training_worker.learning.networks import LstmConfig, Predictor, new_predictor
from training_worker.learning.restore import load_predictor
from training_worker.learning.scores import Scorer, ScoreStatistics, fit_statistics, no_statistics
from training_worker.recipes.trained import TrainedModel

MakePredictor = Callable[[str], Predictor]
TrainTeacher = Callable[[str], TrainedModel]
FAMILIES = (networks.LSTM, networks.AUTOENCODER, networks.LINEAR, networks.HYBRID)
RESIDUALS = np.random.default_rng(1).normal(0, 0.4, (200, 128))
SCORER = Scorer(new_predictor(LstmConfig(), seed=5), fit_statistics(RESIDUALS, 0.1))


@pytest.fixture(scope="module")
def exported(trained_teacher: TrainTeacher) -> dict[str, tuple[Scorer, bytes]]:
    """Give the scorer of a trained model of each family, made of its tensors, and its graph."""
    models = {family: trained_teacher(family) for family in FAMILIES}
    return {family: (scorer_of(model), model.graph) for family, model in models.items()}


def scorer_of(model: TrainedModel) -> Scorer:
    center, whitener, bands = (model.tensors[f"score.{name}"] for name in ("center", "whitener", "bands"))
    statistics = ScoreStatistics(center.astype(np.float64), whitener.astype(np.float64), bands.astype(np.float64))
    return Scorer(load_predictor(model.family, model.tensors), statistics)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("count", [1, 64])
def test_a_graph_of_every_family_computes_what_torch_computes(
    exported: dict[str, tuple[Scorer, bytes]], family: str, count: int
) -> None:
    scorer, graph = exported[family]
    codes = np.random.default_rng(count).integers(60, 140, (count, 125, 128), dtype=np.uint8)
    found = Session(graph, tensors(scorer)).score(codes)
    with torch.inference_mode():
        error_db, predicted, whitened, bands = (out.numpy() for out in scorer(torch.from_numpy(codes)))
    np.testing.assert_allclose(found.error_db, error_db, atol=1e-4)
    np.testing.assert_allclose(found.predicted / 2, predicted / 2, atol=1e-3)
    np.testing.assert_allclose(found.whitened, whitened, rtol=1e-3)
    np.testing.assert_allclose(found.bands, bands, atol=1e-3 * np.abs(bands).max())
    assert found.bands.shape == (count, 375)


@pytest.mark.parametrize("family", [networks.AUTOENCODER, networks.LINEAR])
def test_graphs_of_one_architecture_are_equal_to_the_byte(
    exported: dict[str, tuple[Scorer, bytes]], make_predictor: MakePredictor, family: str
) -> None:
    assert export_graph(Scorer(make_predictor(family), no_statistics())) == exported[family][1]


def test_graphs_of_different_families_differ(exported: dict[str, tuple[Scorer, bytes]]) -> None:
    assert len({graph for _, graph in exported.values()}) == len(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_holds_every_tensor_by_name_and_no_weights(
    exported: dict[str, tuple[Scorer, bytes]], family: str
) -> None:
    scorer, graph = exported[family]
    model = onnx.ModelProto.FromString(graph)
    external = {tensor.name: tensor for tensor in model.graph.initializer if tensor.external_data}
    assert {name: tuple(tensor.dims) for name, tensor in external.items()} == {
        name: array.shape for name, array in tensors(scorer).items()
    }
    for name, tensor in external.items():
        assert [(entry.key, entry.value) for entry in tensor.external_data] == [("location", name)]
        assert not tensor.raw_data
    assert len(graph) < 50_000


def test_statistics_travel_beside_the_weights() -> None:
    found = tensors(SCORER)
    statistics = fit_statistics(RESIDUALS, 0.1)
    np.testing.assert_array_equal(found["score.center"], statistics.center.astype(np.float32))
    np.testing.assert_array_equal(found["score.whitener"], statistics.whitener.astype(np.float32))
    np.testing.assert_array_equal(found["score.bands"], statistics.bands.astype(np.float32))
    assert {name for name in found if not name.startswith("score.")} == dict(SCORER.predictor.named_parameters()).keys()
    assert all(array.dtype == np.float32 for array in found.values())


def test_the_graph_says_what_it_returns(graph: bytes) -> None:
    assert outputs_of(graph) == OUTPUTS
    with pytest.raises(CorruptError, match="no ONNX graph"):
        outputs_of(b"no graph")


def test_the_graph_says_nothing_of_who_exported_it(exported: dict[str, tuple[Scorer, bytes]]) -> None:
    for _, graph in exported.values():
        assert b"site-packages" not in graph
        assert b"/training_worker/" not in graph
        assert b"File " not in graph


def test_the_graph_serves_any_weights_of_its_architecture(graph: bytes) -> None:
    check_against_torch(graph, SCORER)


def test_an_older_graph_without_scores_still_gives_errors_and_predictions(graph: bytes) -> None:
    model = onnx.ModelProto.FromString(graph)
    for output in [output for output in model.graph.output if output.name in {"whitened", "bands"}]:
        model.graph.output.remove(output)
    old = model.SerializeToString()
    codes = np.random.default_rng(3).integers(60, 140, (2, 125, 128), dtype=np.uint8)
    assert outputs_of(old) == ("error_db", "predicted")
    found = Session(old, tensors(SCORER)).score(codes)
    np.testing.assert_array_equal(found.error_db, Session(graph, tensors(SCORER)).score(codes).error_db)
    assert found.whitened.tolist() == [0, 0]
    assert found.bands.shape == (2, 0)


def test_the_check_refuses_a_graph_that_computes_something_else(graph: bytes) -> None:
    exchanged = {"lstm.bias_ih_l0": "lstm.bias_ih_l1", "lstm.bias_ih_l1": "lstm.bias_ih_l0"}
    model = onnx.ModelProto.FromString(graph)
    for node in model.graph.node:
        node.input[:] = [exchanged.get(name, name) for name in node.input]
    with pytest.raises(CorruptError, match="must not be released"):
        check_against_torch(model.SerializeToString(), SCORER)


@pytest.mark.parametrize("lost", ["score.center", "score.whitener", "score.bands"])
def test_the_check_refuses_a_graph_with_other_scores(graph: bytes, lost: str) -> None:
    """The graph reads the statistic from elsewhere than the scorer: its values in the graph are zeros."""
    model = onnx.ModelProto.FromString(graph)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == lost)
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    tensor.raw_data = bytes(4 * int(np.prod(tensor.dims)))
    if lost == "score.center":
        tensor.raw_data = np.full(tensor.dims, 9, np.float32).tobytes()
    with pytest.raises(CorruptError):
        check_against_torch(model.SerializeToString(), SCORER)


@pytest.mark.parametrize("damage", [b"", b"no graph", b"half"])
def test_a_graph_that_cannot_be_loaded_is_refused(graph: bytes, damage: bytes) -> None:
    damaged = graph[: len(graph) // 2] if damage == b"half" else damage
    with pytest.raises(CorruptError):
        check_against_torch(damaged, SCORER)


def test_a_graph_without_one_of_its_tensors_is_refused(graph: bytes) -> None:
    weights = tensors(SCORER)
    del weights["dense.bias"]
    with pytest.raises(CorruptError, match="cannot load the graph"):
        Session(graph, weights)


def test_the_check_refuses_weights_that_are_not_numbers(graph: bytes) -> None:
    broken = Scorer(new_predictor(LstmConfig(), seed=5), no_statistics())
    with torch.no_grad():
        broken.predictor.dense.bias[0] = float("nan")
    with pytest.raises(CorruptError, match="must not be released"):
        check_against_torch(graph, broken)


def test_tensors_are_copies() -> None:
    tensors(SCORER)["dense.bias"][:] = 0
    assert SCORER.predictor.dense.bias.abs().max() > 0
