"""The LSTM predictor, and the graph around it that turns codes into errors."""

import copy
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from bandwatch.spectrogram.scoring import SMALLEST_DEVIATION

FAMILY: Final = "lstm-predictor"
"""Name of this family of networks in a manifest."""


@dataclass(frozen=True)
class LstmConfig:
    """Size of a predictor; the defaults are the seed paper's for the downlink (its uplink has three layers)."""

    layers: int = 2
    units: int = 64


class LstmPredictor(nn.Module):
    """Standardised input frames [n, 100, 128] to the standardised next frames [n, 25, 128]."""

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.lstm = nn.LSTM(FRAME_BINS, config.units, config.layers, batch_first=True)
        self.dense = nn.Linear(config.units, TARGET_FRAMES * FRAME_BINS)

    def hidden_states(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, units]: the top layer after the last of the input frames [n, 100, 128]."""
        _, (last, _) = self.lstm(inputs)  # last: [layers, n, units]
        top: Tensor = last[-1]
        return top

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, 25, 128]: the frames that follow the input frames [n, 100, 128]."""
        flat: Tensor = self.dense(self.hidden_states(inputs))  # [n, 25 * 128]
        return flat.reshape(-1, TARGET_FRAMES, FRAME_BINS)


class Scorer(nn.Module):
    """Codes uint8 [n, 125, 128] to errors in dB [n] and the predicted codes [n, 25, 128].

    The linear transformation is inside, so whoever runs the graph computes what training computed.
    """

    def __init__(self, predictor: LstmPredictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the error in dB of each window, and its predicted codes."""
        standardised, mean, deviation = standardise(codes)
        predicted = self.predictor(standardised[:, :INPUT_FRAMES]) * deviation + mean
        residual = predicted - codes[:, INPUT_FRAMES:].to(torch.float32)
        return CODE_STEP_DB * residual.square().mean((1, 2)).sqrt(), predicted


def standardise(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return windows float32 [n, 125, 128] with the mean and deviation of each, both [n, 1, 1] and in codes.

    Mean and deviation are scalars of a window's 100 input frames, and serve its 25 target frames too:
    the same formula as `bandwatch.spectrogram.scoring.standardise`, here on tensors.
    """
    values = codes.to(torch.float32)
    inputs = values[:, :INPUT_FRAMES]
    mean = inputs.mean((1, 2), keepdim=True)
    deviation = (inputs - mean).square().mean((1, 2), keepdim=True).sqrt().clamp(min=SMALLEST_DEVIATION)
    return (values - mean) / deviation, mean, deviation


def new_predictor(config: LstmConfig, seed: int) -> LstmPredictor:
    """Return a predictor with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LstmPredictor(config)


def refittable_copy(predictor: LstmPredictor, frozen_layers: int) -> LstmPredictor:
    """Return a copy whose first `frozen_layers` layers, counted from the input, take no gradient.

    Raises:
        InvalidArgumentError: The network has too few layers to freeze that many and still learn something.
    """
    config = predictor.config
    if not 0 <= frozen_layers <= config.layers:
        raise InvalidArgumentError(
            f"{frozen_layers} layers cannot be frozen in a network of {config.layers} LSTM layers and a dense layer: "
            f"choose 0 to {config.layers}"
        )
    refitted = copy.deepcopy(predictor)
    for name, parameter in refitted.named_parameters():
        parameter.requires_grad_(_layer_of(name, config) >= frozen_layers)
    return refitted


def _layer_of(parameter_name: str, config: LstmConfig) -> int:
    """Return the layer that owns a parameter: LSTM layers from 0, the dense layer last."""
    if parameter_name.startswith("dense."):
        return config.layers
    return int(parameter_name.rpartition("_l")[2])
