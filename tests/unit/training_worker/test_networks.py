"""The predictors of every family, their layers, and the transformation before them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram import scoring
from tests.unit.training_worker.small_networks import new_hybrid, new_linear, with_random_dense
from training_worker.learning import networks
from training_worker.learning.networks import (
    LaggedRegression,
    LinearPredictor,
    LstmConfig,
    LstmPredictor,
    Predictor,
    hybrid_of,
    lagged_powers,
    lstm_of,
    new_autoencoder,
    new_predictor,
    refittable_copy,
    standardise,
)

MakePredictor = Callable[[str], Predictor]
SMALL = LstmConfig(layers=2, units=5)
FEATURES = {networks.LSTM: 5, networks.HYBRID: 5 + 64, networks.LINEAR: 64, networks.AUTOENCODER: 128}
LAYERED: dict[str, tuple[Callable[[], Predictor], int]] = {
    "downlink LSTM": (lambda: new_predictor(LstmConfig(layers=2, units=3), 1), 2),
    "uplink LSTM": (lambda: new_predictor(LstmConfig(layers=3, units=3), 1), 3),
    "downlink autoencoder": (lambda: new_autoencoder(4, 1), 3),
    "uplink autoencoder": (lambda: new_autoencoder(6, 1), 5),
    "hybrid": (lambda: new_hybrid(SMALL), 2),
    "linear": (LinearPredictor, 1),
    "all lagged powers": (LaggedRegression, 0),
}


def free_layers(predictor: Predictor) -> set[int]:
    return {predictor.layer_of(name) for name, value in predictor.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("family", FEATURES)
@pytest.mark.parametrize("count", [1, 4])
def test_every_family_predicts_25_frames_from_100(make_predictor: MakePredictor, family: str, count: int) -> None:
    predictor = make_predictor(family)
    inputs = torch.randn(count, 100, 128)
    with torch.inference_mode():
        assert predictor.features(inputs).shape == (count, FEATURES[family])
        assert predictor(inputs).shape == (count, 25, 128)
    assert predictor.family == family


@pytest.mark.parametrize("family", FEATURES)
def test_the_dense_layer_maps_features_to_frames_bin_after_bin(make_predictor: MakePredictor, family: str) -> None:
    predictor = make_predictor(family)
    inputs = torch.randn(2, 100, 128)
    with torch.inference_mode():
        features, predicted = predictor.features(inputs).numpy(), predictor(inputs).numpy()
    row = 7 * 128 + 90
    weight, bias = predictor.dense.weight.detach().numpy()[row], predictor.dense.bias.detach().numpy()[row]
    np.testing.assert_allclose(predicted[:, 7, 90], features @ weight + bias, atol=1e-5)


@pytest.mark.parametrize("family", FEATURES)
def test_windows_of_one_batch_do_not_influence_one_another(make_predictor: MakePredictor, family: str) -> None:
    predictor = make_predictor(family)
    inputs = torch.randn(3, 100, 128)
    with torch.inference_mode():
        np.testing.assert_allclose(predictor(inputs)[1:2].numpy(), predictor(inputs[1:2]).numpy(), atol=1e-5)


@pytest.mark.parametrize("name", LAYERED)
def test_frozen_layers_count_from_the_input_and_the_dense_one_is_the_last(name: str) -> None:
    make, body_layers = LAYERED[name]
    predictor = make()
    assert predictor.body_layers == body_layers
    for frozen in range(body_layers + 1):
        assert free_layers(refittable_copy(predictor, frozen)) == set(range(frozen, body_layers + 1))


@pytest.mark.parametrize("name", LAYERED)
def test_more_layers_than_there_are_cannot_be_frozen(name: str) -> None:
    make, body_layers = LAYERED[name]
    for frozen in (-1, body_layers + 1):
        with pytest.raises(InvalidArgumentError, match=f"choose 0 to {body_layers}"):
            refittable_copy(make(), frozen)


@pytest.mark.parametrize(("layers", "units"), [(4, [128, 64, 128, 3200]), (6, [256, 128, 64, 128, 256, 3200])])
def test_an_autoencoder_narrows_to_64_units_and_widens_again(layers: int, units: list[int]) -> None:
    weights = [value for name, value in new_autoencoder(layers, seed=1).named_parameters() if name.endswith("weight")]
    assert [len(weight) for weight in weights] == units
    assert weights[0].shape[1] == 100 * 128


@pytest.mark.parametrize("layers", [0, 3, 5, 7])
def test_an_autoencoder_of_another_depth_is_refused(layers: int) -> None:
    with pytest.raises(InvalidArgumentError, match="4 or 6 dense layers"):
        new_autoencoder(layers, seed=1)


def test_an_autoencoder_is_dense_layers_and_hyperbolic_tangents() -> None:
    predictor = new_autoencoder(4, seed=3)
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in predictor.named_parameters()}
    inputs = np.random.default_rng(1).normal(size=(1, 100, 128)).astype(np.float32)
    expected = inputs.reshape(1, -1).astype(np.float64)
    for layer in range(3):
        expected = np.tanh(expected @ weights[f"body.{layer}.weight"].T + weights[f"body.{layer}.bias"])
    with torch.inference_mode():
        found = predictor.features(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_hidden_state_follows_the_lstm_equations() -> None:
    predictor = new_predictor(LstmConfig(layers=1, units=3), seed=4)
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in predictor.named_parameters()}
    inputs = np.random.default_rng(3).normal(size=(100, 128))
    hidden, cell = np.zeros(3), np.zeros(3)
    for frame in inputs:
        gates = (
            weights["lstm.weight_ih_l0"] @ frame
            + weights["lstm.bias_ih_l0"]
            + weights["lstm.weight_hh_l0"] @ hidden
            + weights["lstm.bias_hh_l0"]
        )
        take, forget, offer, show = np.split(gates, 4)
        cell = cell / (1 + np.exp(-forget)) + np.tanh(offer) / (1 + np.exp(-take))
        hidden = np.tanh(cell) / (1 + np.exp(-show))
    with torch.inference_mode():
        found = predictor.features(torch.from_numpy(inputs[None].astype(np.float32)))
    np.testing.assert_allclose(found[0].numpy(), hidden, atol=1e-5)


def test_lagged_powers_are_the_mean_of_every_bin_and_of_every_sub_band_of_every_frame() -> None:
    inputs = np.random.default_rng(5).normal(size=(2, 100, 128)).astype(np.float32)
    found = lagged_powers(torch.from_numpy(inputs)).numpy()
    assert found.shape == (2, 928)
    for window in range(2):
        expected = [inputs[window, :, one_bin].mean() for one_bin in range(128)]
        for frame in range(100):
            expected += [inputs[window, frame, 16 * band : 16 * band + 16].mean() for band in range(8)]
        np.testing.assert_allclose(found[window], expected, atol=1e-6)


def test_the_combinations_of_a_hybrid_are_frozen_with_its_top_lstm_layer() -> None:
    for layers in (1, 2, 3):
        hybrid = new_hybrid(LstmConfig(layers, units=3))
        assert hybrid.layer_of("lagged.weight") == hybrid.layer_of(f"lstm.weight_hh_l{layers - 1}") == layers - 1


def test_a_linear_predictor_hears_combinations_of_the_lagged_powers() -> None:
    linear = new_linear(combinations=7)
    inputs = torch.randn(3, 100, 128)
    with torch.inference_mode():
        expected = lagged_powers(inputs).numpy() @ linear.lagged.weight.numpy().T
        np.testing.assert_allclose(linear.features(inputs).numpy(), expected, atol=1e-5)


def test_a_hybrid_begins_by_predicting_exactly_what_its_lstm_does() -> None:
    predictor, linear = new_predictor(SMALL, seed=6), new_linear(combinations=7)
    hybrid = hybrid_of(predictor, linear)
    inputs = torch.randn(5, 100, 128)
    with torch.inference_mode():
        np.testing.assert_allclose(hybrid(inputs).numpy(), predictor(inputs).numpy(), atol=1e-6)
        features = hybrid.features(inputs)
        assert torch.equal(features[:, :5], predictor.features(inputs))
        assert torch.equal(features[:, 5:], linear.features(inputs))


def test_the_lstm_predictor_in_a_hybrid_predicts_what_the_hybrid_does_without_its_linear_skip() -> None:
    hybrid = with_random_dense(new_hybrid(SMALL), seed=3)
    predictor = lstm_of(hybrid)
    inputs = torch.randn(5, 100, 128)
    with torch.inference_mode():
        skip = (hybrid.features(inputs)[:, 5:] @ hybrid.dense.weight[:, 5:].T).reshape(-1, 25, 128)
        np.testing.assert_allclose(predictor(inputs).numpy(), (hybrid(inputs) - skip).numpy(), atol=1e-5)
        assert skip.abs().max() > 0.1


def test_an_lstm_predictor_comes_back_out_of_its_hybrid_as_it_was() -> None:
    predictor = new_predictor(SMALL, seed=6)
    back = lstm_of(hybrid_of(predictor, new_linear()))
    assert back.config == predictor.config
    for name, value in predictor.state_dict().items():
        assert torch.equal(back.state_dict()[name], value), name


def test_a_hybrid_and_what_it_is_made_of_have_weights_of_their_own() -> None:
    predictor, linear = new_predictor(SMALL, seed=6), new_linear(combinations=7)
    hybrid = hybrid_of(predictor, linear)
    taken_out = lstm_of(hybrid)
    with torch.no_grad():
        for parameter in hybrid.parameters():
            parameter.add_(1)
    for found in (predictor, taken_out):
        for name, value in new_predictor(SMALL, seed=6).state_dict().items():
            assert torch.equal(found.state_dict()[name], value), name
    for name, value in new_linear(combinations=7).state_dict().items():
        assert torch.equal(linear.state_dict()[name], value), name


def test_a_regression_that_knows_nothing_predicts_the_mean_of_the_input() -> None:
    with torch.inference_mode():
        assert not LaggedRegression()(torch.randn(2, 100, 128)).any()


def test_windows_are_standardised_as_in_every_program() -> None:
    random = np.random.default_rng(1)
    codes = random.integers(0, 256, (4, 125, 128), dtype=np.uint8)
    codes[1] = 80  # steadier than its own quantisation
    codes[2] = random.integers(100, 102, (125, 128))
    standardised, mean, deviation = (values.numpy() for values in standardise(torch.from_numpy(codes)))
    expected, expected_mean, expected_deviation = scoring.standardise(codes)
    np.testing.assert_allclose(mean[:, 0, 0], expected_mean, rtol=1e-6)
    np.testing.assert_allclose(deviation[:, 0, 0], expected_deviation, rtol=1e-6)
    np.testing.assert_allclose(standardised, expected, atol=1e-5)


def test_standardising_leaves_the_codes_as_they_were() -> None:
    codes = torch.randint(0, 256, (2, 125, 128), dtype=torch.uint8)
    before = codes.clone()
    standardise(codes)
    assert torch.equal(codes, before)


def test_a_copy_for_a_refit_leaves_the_original_as_it_was() -> None:
    original = new_predictor(SMALL, seed=1)
    refitted = refittable_copy(original, frozen_layers=2)
    with torch.no_grad():
        refitted.dense.bias.add_(1)
    assert torch.equal(original.dense.bias, new_predictor(SMALL, seed=1).dense.bias)
    assert all(parameter.requires_grad for parameter in original.parameters())


def test_first_weights_depend_on_the_seed_alone() -> None:
    def weight(predictor: LstmPredictor) -> torch.Tensor:
        return predictor.lstm.get_parameter("weight_ih_l0")

    first = new_predictor(SMALL, seed=7)
    before = torch.random.get_rng_state()
    torch.rand(3)
    assert torch.equal(weight(first), weight(new_predictor(SMALL, seed=7)))
    assert not torch.equal(weight(first), weight(new_predictor(SMALL, seed=8)))
    torch.random.set_rng_state(before)
    new_predictor(SMALL, seed=7)
    assert torch.equal(before, torch.random.get_rng_state())
