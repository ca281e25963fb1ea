"""The predictor, the transformation around it, and its layers."""

import numpy as np
import pytest
import torch

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram import scoring
from training_worker.learning.networks import LstmConfig, LstmPredictor, Scorer, new_predictor, refittable_copy

SMALL = LstmConfig(layers=2, units=5)


def test_the_scorer_agrees_with_the_scoring_that_every_program_shares() -> None:
    codes = np.random.default_rng(1).integers(0, 256, (3, 125, 128), dtype=np.uint8)
    predictor = new_predictor(SMALL, seed=1)
    standardised, mean, deviation = scoring.standardise(codes)
    with torch.inference_mode():
        error_db, predicted = Scorer(predictor)(torch.from_numpy(codes))
        next_frames = predictor(torch.from_numpy(standardised[:, :100])).numpy()
    expected = next_frames * deviation[:, None, None] + mean[:, None, None]
    np.testing.assert_allclose(predicted.numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(error_db.numpy(), scoring.error_db(codes[:, 100:], expected), atol=1e-4)


def test_a_constant_window_is_standardised_by_the_smallest_deviation() -> None:
    codes = np.full((1, 125, 128), 80, dtype=np.uint8)
    codes[:, 100:] = 82
    predictor = new_predictor(SMALL, seed=1)
    with torch.inference_mode():
        error_db, predicted = Scorer(predictor)(torch.from_numpy(codes))
        silence = predictor(torch.zeros(1, 100, 128))
    np.testing.assert_allclose(predicted.numpy(), 80 + silence.numpy(), atol=1e-4)
    np.testing.assert_allclose(error_db.numpy(), 0.5 * np.sqrt(np.mean((silence.numpy() - 2) ** 2)), atol=1e-4)


def test_a_prediction_does_not_see_the_frames_that_it_predicts() -> None:
    codes = torch.from_numpy(np.random.default_rng(2).integers(0, 256, (1, 125, 128), dtype=np.uint8))
    other = codes.clone()
    other[:, 100:] = 0
    scorer = Scorer(new_predictor(SMALL, seed=1))
    with torch.inference_mode():
        assert torch.equal(scorer(codes)[1], scorer(other)[1])


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
        found = predictor.hidden_states(torch.from_numpy(inputs[None].astype(np.float32)))
    np.testing.assert_allclose(found[0].numpy(), hidden, atol=1e-5)


@pytest.mark.parametrize(("frozen_layers", "free"), [(2, {"dense"}), (1, {"dense", "l1"}), (0, {"dense", "l0", "l1"})])
def test_frozen_layers_count_from_the_input(frozen_layers: int, free: set[str]) -> None:
    refitted = refittable_copy(new_predictor(SMALL, seed=1), frozen_layers)
    found = {
        "dense" if name.startswith("dense") else name[-2:]
        for name, parameter in refitted.named_parameters()
        if parameter.requires_grad
    }
    assert found == free


@pytest.mark.parametrize("frozen_layers", [-1, 3])
def test_more_layers_than_there_are_cannot_be_frozen(frozen_layers: int) -> None:
    with pytest.raises(InvalidArgumentError, match="choose 0 to 2"):
        refittable_copy(new_predictor(SMALL, seed=1), frozen_layers)


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
