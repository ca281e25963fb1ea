"""From tensors back to the network that had them, and what is refused on the way."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import CorruptError
from tests.unit.training_worker.small_networks import new_hybrid, new_linear
from training_worker.learning import networks
from training_worker.learning.export import Tensors, tensors
from training_worker.learning.networks import (
    HybridPredictor,
    LinearPredictor,
    LstmConfig,
    LstmPredictor,
    Predictor,
    new_autoencoder,
    new_predictor,
)
from training_worker.learning.restore import load_predictor
from training_worker.learning.scores import Scorer, no_statistics

FAMILIES = (networks.LSTM, networks.AUTOENCODER, networks.LINEAR, networks.HYBRID)
SMALL = LstmConfig(layers=2, units=3)
Change = Callable[[Tensors], None]


def tensors_of(predictor: Predictor) -> Tensors:
    return tensors(Scorer(predictor, no_statistics()))


SMALL_LSTM = tensors_of(new_predictor(SMALL, seed=1))
AUTOENCODER = tensors_of(new_autoencoder(4, seed=1))
ORIGINALS = {
    networks.LSTM: SMALL_LSTM,
    networks.HYBRID: tensors_of(new_hybrid(SMALL, combinations=4)),
    networks.AUTOENCODER: AUTOENCODER,
    networks.LINEAR: tensors_of(new_linear()),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_as_it_was(make_predictor: Callable[[str], Predictor], family: str) -> None:
    predictor = make_predictor(family)
    loaded = load_predictor(family, tensors_of(predictor))
    assert type(loaded) is type(predictor)
    assert loaded.state_dict().keys() == predictor.state_dict().keys()
    for name, value in predictor.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name])
    inputs = torch.randn(2, 100, 128)
    with torch.inference_mode():
        assert torch.equal(loaded(inputs), predictor(inputs))


@pytest.mark.parametrize("config", [LstmConfig(), LstmConfig(layers=3, units=7), LstmConfig(layers=1, units=1)])
def test_the_size_of_an_lstm_follows_from_its_tensors(config: LstmConfig) -> None:
    lstm = load_predictor(networks.LSTM, tensors_of(new_predictor(config, seed=2)))
    hybrid = load_predictor(networks.HYBRID, tensors_of(new_hybrid(config, seed=2)))
    assert isinstance(lstm, LstmPredictor)
    assert isinstance(hybrid, HybridPredictor)
    assert lstm.config == hybrid.config == config


@pytest.mark.parametrize("combinations", [1, 7, 64, 928])
def test_the_rank_of_a_linear_predictor_and_of_a_linear_skip_follows_from_its_tensors(combinations: int) -> None:
    linear = load_predictor(networks.LINEAR, tensors_of(new_linear(combinations)))
    hybrid = load_predictor(networks.HYBRID, tensors_of(new_hybrid(SMALL, combinations)))
    assert isinstance(linear, LinearPredictor)
    assert isinstance(hybrid, HybridPredictor)
    assert linear.lagged.out_features == hybrid.lagged.out_features == combinations


@pytest.mark.parametrize("layers", [4, 6])
def test_the_depth_of_an_autoencoder_follows_from_its_tensors(layers: int) -> None:
    loaded = load_predictor(networks.AUTOENCODER, tensors_of(new_autoencoder(layers, seed=2)))
    assert loaded.body_layers == layers - 1


def test_a_loaded_predictor_can_be_fitted_and_leaves_the_tensors_alone() -> None:
    weights = {name: array.copy() for name, array in SMALL_LSTM.items()}
    for array in weights.values():
        array.flags.writeable = False  # as they come from a blob
    loaded = load_predictor(networks.LSTM, weights)
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    with torch.no_grad():
        loaded.dense.bias.add_(1)
    np.testing.assert_array_equal(weights["dense.bias"], SMALL_LSTM["dense.bias"])


def test_statistics_beside_the_weights_are_left_aside() -> None:
    weights = {name: array for name, array in SMALL_LSTM.items() if not name.startswith("score.")}
    assert len(weights) == len(SMALL_LSTM) - 3
    assert isinstance(load_predictor(networks.LSTM, weights), LstmPredictor)


def replaced(name: str, array: npt.ArrayLike) -> Change:
    def change(weights: Tensors) -> None:
        weights[name] = np.asarray(array, np.float32)

    return change


DAMAGE: dict[str, tuple[str, Change]] = {
    "empty": (networks.LSTM, lambda weights: weights.clear()),
    "no bias": (networks.LSTM, lambda weights: weights.__delitem__("dense.bias")),
    "no first LSTM layer": (networks.LSTM, lambda weights: weights.__delitem__("lstm.weight_hh_l0")),
    "short bias": (networks.LSTM, replaced("dense.bias", np.zeros(5))),
    "odd LSTM": (networks.LSTM, replaced("lstm.weight_hh_l0", np.zeros((64, 64)))),
    "LSTM without units": (networks.LSTM, replaced("lstm.weight_hh_l0", np.zeros((0, 0)))),
    "LSTM of a number": (networks.LSTM, replaced("lstm.weight_hh_l0", 1.0)),
    "surplus": (networks.LSTM, replaced("surplus", np.zeros(1))),
    "a layer too many": (networks.LSTM, replaced("lstm.weight_hh_l2", np.zeros((12, 3)))),
    "infinite": (networks.LSTM, replaced("dense.bias", np.full(3200, np.inf))),
    "not a number": (networks.HYBRID, replaced("dense.bias", np.full(3200, np.nan))),
    "another family": (networks.LINEAR, lambda weights: weights.update(SMALL_LSTM)),
    "narrow skip": (networks.HYBRID, replaced("dense.weight", np.zeros((3200, 3)))),
    "skip without combinations": (networks.HYBRID, lambda weights: weights.__delitem__("lagged.weight")),
    "no combinations": (networks.LINEAR, lambda weights: weights.__delitem__("lagged.weight")),
    "combinations of a number": (networks.LINEAR, replaced("lagged.weight", 1.0)),
    "combinations of nothing": (networks.LINEAR, replaced("lagged.weight", np.zeros((64, 0)))),
    "not one combination": (networks.LINEAR, replaced("lagged.weight", np.zeros((0, 928)))),
    "more combinations than powers": (networks.LINEAR, replaced("lagged.weight", np.zeros((929, 928)))),
    "a combination too few": (networks.LINEAR, replaced("lagged.weight", np.zeros((63, 928)))),
    "infinite combinations": (networks.LINEAR, replaced("lagged.weight", np.full((64, 928), np.inf))),
    "all lagged powers": (networks.LINEAR, replaced("dense.weight", np.zeros((3200, 928)))),
    "autoencoder of a number": (networks.AUTOENCODER, replaced("body.0.weight", 1.0)),
    "autoencoder without units": (networks.AUTOENCODER, replaced("body.1.weight", np.zeros((0, 128)))),
    "autoencoder without layers": (networks.AUTOENCODER, lambda weights: weights.clear()),
    "autoencoder with a gap": (networks.AUTOENCODER, lambda weights: weights.__delitem__("body.1.weight")),
    "enormous autoencoder": (networks.AUTOENCODER, replaced("body.0.weight", np.zeros((1 << 60, 0), np.float32))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_tensors_that_are_no_network_are_refused(damage: str) -> None:
    family, change = DAMAGE[damage]
    weights = dict(ORIGINALS[family])
    change(weights)
    with pytest.raises(CorruptError):
        load_predictor(family, weights)


def test_a_family_that_the_worker_does_not_know_is_refused() -> None:
    with pytest.raises(CorruptError, match="deep-autoencoder"):
        load_predictor("deep-autoencoder", SMALL_LSTM)


SHAPES = st.lists(st.integers(0, 20), max_size=3).map(tuple)
NAMES = st.sampled_from(sorted(set().union(*ORIGINALS.values()))) | st.sampled_from(
    ["lstm.weight_hh_l", "lstm.weight_hh_l7", "body.9.weight", "body..weight", "body.x.weight", "dense.", ""]
)


@given(family=st.sampled_from(FAMILIES), shapes=st.dictionaries(NAMES, SHAPES, max_size=12))
def test_tensors_of_any_names_and_shapes_are_refused_and_nothing_worse(
    family: str, shapes: dict[str, tuple[int, ...]]
) -> None:
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(CorruptError):
        load_predictor(family, weights)


@given(family=st.sampled_from(FAMILIES), data=st.data(), shape=SHAPES)
def test_a_network_with_one_tensor_of_another_shape_is_refused(
    family: str, data: st.DataObject, shape: tuple[int, ...]
) -> None:
    own = sorted(name for name in ORIGINALS[family] if not name.startswith("score."))
    name = data.draw(st.sampled_from(own))
    if ORIGINALS[family][name].shape == shape:
        shape = (*shape, 2)
    with pytest.raises(CorruptError):
        load_predictor(family, ORIGINALS[family] | {name: np.zeros(shape, np.float32)})
