"""Files as Keras 2 writes them, read and computed once more by Keras's equations in plain numpy."""

import contextlib
import copy
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandwatch.errors import (
    BandwatchError,
    CorruptError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from training_worker.learning.keras import KerasLstmPredictor, network_of, read_keras
from training_worker.learning.keras_files import KerasFile, read_keras_file

Arrays = dict[str, npt.NDArray[Any]]
Layers = list[tuple[str, Arrays]]
Json = dict[str, Any]
FRAMES = np.random.default_rng(8).normal(size=(5, 100, 128)).astype(np.float32)


def random_layers(seed: int) -> Layers:
    """Return the network's layers by name, with weights that drive many gates into saturation."""
    random = np.random.default_rng(seed)
    layers: Layers = []
    for number, inputs in enumerate((128, 64, 64), start=1):
        kernel, recurrent = random.normal(0, 0.2, (inputs, 256)), random.normal(0, 0.15, (64, 256))
        layers.append(
            (f"lstm_{number}", {"kernel": kernel, "recurrent_kernel": recurrent, "bias": normal(random, 256)})
        )
        norm = {"gamma": 1 + 0.3 * normal(random, 64), "beta": normal(random, 64), "moving_mean": normal(random, 64)}
        norm["moving_variance"] = random.uniform(0.001, 1, 64)
        layers.append((f"batch_normalization_{number}", norm))
    layers.append(("dense_1", {"kernel": random.normal(0, 0.1, (64, 3200)), "bias": normal(random, 3200)}))
    return [(name, {key: array.astype(np.float32) for key, array in arrays.items()}) for name, arrays in layers]


def normal(random: np.random.Generator, count: int) -> npt.NDArray[np.float64]:
    return random.normal(0, 0.5, count)


LAYERS = random_layers(1)


def config_of(layer: str) -> Json:
    """Return what Keras 2 writes of a layer with that name."""
    kind = layer.rpartition("_")[0]
    if kind == "lstm":
        settings = {"units": 64, "activation": "tanh", "recurrent_activation": "hard_sigmoid", "use_bias": True}
        settings |= {"return_sequences": layer != "lstm_3", "go_backwards": False, "stateful": False, "dropout": 0.0}
        return {"class_name": "LSTM", "config": settings | {"name": layer, "unit_forget_bias": True, "unroll": False}}
    if kind == "batch_normalization":
        settings = {"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True}
        return {"class_name": "BatchNormalization", "config": settings | {"name": layer}}
    return {"class_name": "Dense", "config": {"name": layer, "units": 3200, "activation": "linear", "use_bias": True}}


def sequential(layers: Sequence[Json]) -> Json:
    """Return a model_config as Keras 2.3 writes it."""
    first = {**layers[0], "config": {**layers[0]["config"], "batch_input_shape": [None, 100, 128], "dtype": "float32"}}
    return {"class_name": "Sequential", "config": {"name": "sequential_1", "layers": [first, *layers[1:]]}}


CONFIGS = [config_of(name) for name, _ in LAYERS]


def write_weights(group: Any, layers: Layers, cell: str = "") -> None:
    """Write layers as Keras's save_weights does; `cell` is what later versions put between layer and weight."""
    group.attrs["layer_names"] = [name.encode() for name, _ in layers]
    group.attrs["backend"] = b"tensorflow"
    for layer, arrays in layers:
        inner = group.create_group(layer)
        names = [f"{layer}/{cell if 'lstm' in layer else ''}{name}:0" for name in arrays]
        inner.attrs["weight_names"] = [name.encode() for name in names]
        for name, array in zip(names, arrays.values(), strict=True):
            inner[name] = array


def content(layers: Layers = LAYERS, described: Json | None = None) -> KerasFile:
    """Return what is read of a file that `write_model` wrote."""
    read = tuple({name: array.astype(np.float64) for name, array in arrays.items()} for _, arrays in layers)
    return KerasFile(json.dumps(described or sequential(CONFIGS)), read)


def write_model(path: Path, layers: Layers = LAYERS, described: Json | None = None) -> Path:
    """Write a file as Keras's model.save does."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.3.1"
        file.attrs["model_config"] = json.dumps(described or sequential(CONFIGS)).encode()
        write_weights(file.create_group("model_weights"), layers)
    return path


def hard_sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.clip(0.2 * x + 0.5, 0, 1)


def computed_by_numpy(
    layers: Layers, inputs: npt.NDArray[np.float32], epsilon: float = 1e-3
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return features [n, 64] and predictions [n, 25, 128] by Keras's equations, in float64 and gate by gate."""
    sequence = inputs.astype(np.float64)
    for (_, lstm), (_, norm) in zip(layers[:-1:2], layers[1::2], strict=True):
        (wi, wf, wc, wo), (ui, uf, uc, uo), (bi, bf, bc, bo) = (
            np.split(lstm[name].astype(np.float64), 4, axis=-1) for name in ("kernel", "recurrent_kernel", "bias")
        )
        h = c = np.zeros((len(inputs), 64))
        states = []
        for step in range(sequence.shape[1]):
            x = sequence[:, step]
            i, f = hard_sigmoid(x @ wi + h @ ui + bi), hard_sigmoid(x @ wf + h @ uf + bf)
            c = f * c + i * np.tanh(x @ wc + h @ uc + bc)
            h = hard_sigmoid(x @ wo + h @ uo + bo) * np.tanh(c)
            states.append(norm["gamma"] * (h - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + epsilon))
        sequence = np.stack(states, axis=1) + norm["beta"]
    features = sequence[:, -1]
    dense = layers[-1][1]
    return features, (features @ dense["kernel"] + dense["bias"]).reshape(-1, 25, 128)


def computed(predictor: KerasLstmPredictor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    with torch.inference_mode():
        inputs = torch.from_numpy(FRAMES)
        return predictor.features(inputs).numpy(), predictor(inputs).numpy()


def assert_same(predictor: KerasLstmPredictor, layers: Layers = LAYERS, epsilon: float = 1e-3) -> None:
    for found, expected in zip(computed(predictor), computed_by_numpy(layers, FRAMES, epsilon), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> KerasLstmPredictor:
    torch.set_num_threads(1)
    return read_keras(write_model(tmp_path_factory.mktemp("keras") / "model.h5"))


def test_a_saved_model_computes_what_keras_computes(predictor: KerasLstmPredictor) -> None:
    assert_same(predictor)


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    found, expected = read_keras_file(write_model(tmp_path / "model.h5")), content()
    assert found.description == expected.description
    assert [list(layer) for layer in found.layers] == [list(layer) for layer in expected.layers]
    for layer, arrays in zip(found.layers, expected.layers, strict=True):
        for name, array in arrays.items():
            np.testing.assert_array_equal(layer[name], array)


def test_a_file_of_weights_alone_gives_the_same_network(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        write_weights(file, LAYERS)
    assert_same(read_keras(tmp_path / "weights.h5"))


def test_files_of_later_versions_put_lstm_weights_one_group_deeper(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(sequential(CONFIGS))  # text, not bytes
        write_weights(file.create_group("model_weights"), LAYERS, cell="lstm_cell/")
    assert_same(read_keras(tmp_path / "model.h5"))


def test_early_versions_describe_the_layers_in_a_list() -> None:
    assert_same(network_of(content(described={"class_name": "Sequential", "config": CONFIGS})))


def test_layers_without_effect_may_stand_anywhere(tmp_path: Path) -> None:
    dropout = {"class_name": "Dropout", "config": {"name": "dropout_1", "rate": 0.2}}
    begin = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, None, 128], "name": "input_1"}}
    linear = {"class_name": "Activation", "config": {"name": "activation_1", "activation": "linear"}}
    shape = {"class_name": "Reshape", "config": {"name": "reshape_1", "target_shape": [25, 128]}}
    configs = [begin, *CONFIGS[:2], dropout, *CONFIGS[2:], linear, shape]
    layers: Layers = [("input_1", {}), *LAYERS[:2], ("dropout_1", {}), *LAYERS[2:], ("activation_1", {})]
    described = {"class_name": "Sequential", "config": {"layers": configs}}
    assert_same(read_keras(write_model(tmp_path / "model.h5", layers, described)))


def test_the_epsilon_of_the_file_is_used() -> None:
    configs = [{**layer, "config": {**layer["config"], "epsilon": 0.5}} for layer in CONFIGS]
    assert_same(network_of(content(described=sequential(configs))), epsilon=0.5)


def test_the_gates_of_the_tests_weights_saturate_and_pass() -> None:
    lstm = LAYERS[0][1]
    gates = hard_sigmoid(FRAMES.astype(np.float64) @ lstm["kernel"] + lstm["bias"])
    assert 0.2 < np.isin(gates, (0, 1)).mean() < 0.8


def test_gradients_reach_every_weight(predictor: KerasLstmPredictor) -> None:
    predictor.zero_grad()
    predictor(torch.from_numpy(FRAMES[:2])).square().mean().backward()
    assert {
        name for name, weight in predictor.named_parameters() if weight.grad is None or not weight.grad.any()
    } == set()


def test_parameters_are_all_that_a_copy_needs(predictor: KerasLstmPredictor) -> None:
    copied = KerasLstmPredictor()
    copied.load_state_dict(dict(predictor.named_parameters()))
    for found, expected in zip(computed(copied), computed(predictor), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture(scope="module")
def graph(predictor: KerasLstmPredictor) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of torch's own deprecated functions
        program = torch.onnx.export(
            predictor.eval(),
            (torch.zeros(2, 100, 128),),
            dynamo=True,
            external_data=False,
            optimize=False,
            input_names=["inputs"],
            dynamic_shapes={"inputs": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def test_the_exported_graph_has_one_node_for_each_lstm_layer(graph: onnx.ModelProto) -> None:
    onnx.checker.check_model(graph)
    assert sum(node.op_type == "LSTM" for node in graph.graph.node) == 3
    assert len(graph.graph.node) < 60


@pytest.mark.parametrize("count", [1, 2, 5])
def test_onnxruntime_computes_what_torch_computes(
    predictor: KerasLstmPredictor, graph: onnx.ModelProto, count: int
) -> None:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"inputs": FRAMES[:count]})
    expected = computed(predictor)[1][:count]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (0, {"units": 32}),
        (0, {"recurrent_activation": "sigmoid"}),
        (0, {"activation": "relu"}),
        (0, {"batch_input_shape": [None, 50, 128]}),
        (2, {"use_bias": False}),
        (2, {"go_backwards": True}),
        (2, {"return_sequences": False}),
        (4, {"return_sequences": True}),
        (4, {"stateful": True}),
        (1, {"epsilon": 0}),
        (6, {"activation": "relu"}),
        (6, {"units": 128}),
    ],
)
def test_a_network_with_other_settings_is_refused(place: int, changed: Json) -> None:
    described = copy.deepcopy(sequential(CONFIGS))
    described["config"]["layers"][place]["config"].update(changed)
    with pytest.raises(InvalidArgumentError, match=next(iter(changed)).partition("_")[0]):
        network_of(content(described=described))


@pytest.mark.parametrize(
    "described",
    [
        {"class_name": "Model", "config": {"layers": CONFIGS}},
        sequential([{"class_name": "GRU", "config": {"units": 64}}, *CONFIGS[1:]]),
        sequential([{"class_name": "CuDNNLSTM", "config": {"units": 64}}, *CONFIGS[1:]]),
        sequential(CONFIGS[:2] + CONFIGS[4:]),
        sequential([*CONFIGS[:-1], CONFIGS[1]]),
        {"class_name": "Sequential", "config": {"layers": []}},
    ],
    ids=["functional", "GRU", "CuDNN", "two LSTM layers", "no dense layer", "nothing"],
)
def test_another_network_is_refused(described: Json) -> None:
    with pytest.raises(InvalidArgumentError):
        network_of(content(described=described))


def changed_layers(place: int, change: Callable[[Arrays], None]) -> Layers:
    layers = [(name, dict(arrays)) for name, arrays in LAYERS]
    change(layers[place][1])
    return layers


@pytest.mark.parametrize(
    ("place", "change"),
    [
        (0, lambda arrays: arrays.update(kernel=np.zeros((64, 256), np.float32))),
        (0, lambda arrays: arrays.update(bias=np.zeros(512, np.float32))),
        (1, lambda arrays: arrays.pop("gamma")),
        (3, lambda arrays: arrays.clear()),
        (6, lambda arrays: arrays.update(kernel=np.zeros((64, 128), np.float32))),
        (6, lambda arrays: arrays.update(surplus=np.zeros(2, np.float32))),
    ],
    ids=["64 inputs", "two biases", "no gamma", "no layer", "128 outputs", "surplus"],
)
def test_weights_of_other_shapes_are_refused(place: int, change: Callable[[Arrays], None]) -> None:
    with pytest.raises(InvalidArgumentError, match="weights of"):
        network_of(content(changed_layers(place, change)))


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (0, "kernel", np.nan),
        (1, "gamma", np.inf),
        (1, "moving_variance", np.inf),
        (3, "moving_variance", -0.5),
        (5, "moving_mean", 1e300),
        (6, "bias", -np.inf),
    ],
)
def test_weights_that_are_no_numbers_are_refused(place: int, name: str, value: float) -> None:
    broken = LAYERS[place][1][name].astype(np.float64)
    broken.flat[3] = value
    layers = changed_layers(place, lambda arrays: arrays.update({name: broken}))
    with pytest.raises(CorruptError, match=r"finite|moving_variance"):
        network_of(content(layers))


def test_weights_that_are_no_floats_are_refused(tmp_path: Path) -> None:
    layers = changed_layers(0, lambda arrays: arrays.update(bias=np.zeros(256, np.complex64)))
    with pytest.raises(CorruptError, match="complex64"):
        read_keras(write_model(tmp_path / "model.h5", layers))


def test_weights_that_are_far_too_many_are_not_even_read(tmp_path: Path) -> None:
    path = write_model(tmp_path / "model.h5")
    with h5py.File(path, "a") as file:
        file["model_weights/dense_1/dense_1"].pop("kernel:0")
        file["model_weights/dense_1/dense_1"].create_dataset("kernel:0", (64, 2**40), dtype="f4", chunks=(1, 1024))
    with pytest.raises(CorruptError, match="70368744177664 values"):
        read_keras(path)


@pytest.mark.parametrize("description", ["", "{", "[]", '{"class_name": "Sequential"}', "[" * 100_000, "null"])
def test_a_damaged_description_is_refused(description: str) -> None:
    with pytest.raises(CorruptError, match="model_config"):
        network_of(KerasFile(description, content().layers))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data())
def test_a_description_that_was_changed_anywhere_is_refused_or_read(data: st.DataObject) -> None:
    described: Any = copy.deepcopy(sequential(CONFIGS))
    inner = described
    while True:
        places: Any = sorted(inner) if isinstance(inner, dict) else range(len(inner))
        place = data.draw(st.sampled_from(places))
        if not isinstance(inner[place], dict | list) or not inner[place] or data.draw(st.booleans()):
            break
        inner = inner[place]
    inner[place] = data.draw(JSON)
    with contextlib.suppress(BandwatchError):
        network_of(KerasFile(json.dumps(described), content().layers))


@pytest.mark.parametrize("beginning", [b"", b"PK\x03\x04 a .keras file of Keras 3", b"\x89HDF\r\n\x1a\n", bytes(4096)])
def test_what_is_no_hdf5_file_is_refused(tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / "model.h5").write_bytes(beginning)
    with pytest.raises(CorruptError, match=r"model\.h5 is no HDF5 file of Keras 2"):
        read_keras(tmp_path / "model.h5")


def test_an_hdf5_file_that_keras_did_not_write_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["model_weights"] = np.zeros(3)
    with pytest.raises(CorruptError, match="no HDF5 file of Keras 2"):
        read_keras(tmp_path / "other.h5")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_keras(tmp_path / "absent.h5")


def test_without_h5py_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(FailedPreconditionError, match=r"install bandwatch\[keras\]"):
        read_keras(tmp_path / "model.h5")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_model(tmp_path_factory.mktemp("keras") / "model.h5").read_bytes()


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kept=st.sampled_from([1.0, 1.0, 0.5, 0.01]), changes=st.dictionaries(st.integers(0, 40_000), st.integers(0, 255))
)
def test_a_damaged_file_is_refused_or_gives_finite_weights(
    whole: bytes, tmp_path: Path, kept: float, changes: dict[int, int]
) -> None:
    damaged = bytearray(whole[: int(kept * len(whole))])
    for place, value in changes.items():
        damaged[place % len(damaged)] = value
    (tmp_path / "model.h5").write_bytes(damaged)
    try:
        predictor = read_keras(tmp_path / "model.h5")
    except BandwatchError:
        return
    assert all(bool(parameter.isfinite().all()) for parameter in predictor.parameters())
