"""The families of predictors: from input frames to the frames that follow, by a body and a dense layer.

The body makes features [n, f], and the dense layer maps them to the 25 x 128 values of the target frames. So
one exact solution (`exact`), one transfer with frozen layers, one scorer and one export serve them all.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

import torch
from torch import Tensor, nn

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from bandwatch.spectrogram.scoring import SMALLEST_DEVIATION

LSTM: Final = "lstm-predictor"
"""LSTM layers and a dense layer (seed paper: two for the downlink, three for the uplink)."""
AUTOENCODER: Final = "autoencoder"
"""Dense layers through a bottleneck (seed paper: four for the downlink, six for the uplink)."""
LINEAR: Final = "linear"
"""A linear map of lagged powers, of rank 64."""
HYBRID: Final = "hybrid"
"""An LSTM whose dense layer sees 64 combinations of the lagged powers too."""
KERAS_LSTM: Final = "keras-lstm"
"""LSTM layers with hard-sigmoid gates and batch normalisation, imported from a file of Keras 2."""
FAMILIES: Final = (LSTM, AUTOENCODER, LINEAR, HYBRID, KERAS_LSTM)
"""Names of the families in a manifest."""

SUB_BANDS: Final = 8
LAGGED_POWERS: Final = FRAME_BINS + INPUT_FRAMES * SUB_BANDS
"""What the linear family hears: the mean of each bin, and the power of 8 sub-bands in each of the 100 frames."""
COMBINATIONS: Final = 64
"""Combinations of the lagged powers that the linear family and the hybrid keep: as many as an LSTM layer has units."""
AUTOENCODER_UNITS: Final = {3: (128, 64, 128), 5: (256, 128, 64, 128, 256)}
"""Units of the layers before the dense one, by their number: four and six dense layers in all."""

PredictorT = TypeVar("PredictorT", bound="Predictor")


class Predictor(nn.Module, ABC):
    """Standardised input frames [n, 100, 128] to the standardised next frames [n, 25, 128]."""

    family: ClassVar[str]
    body_layers: int
    """Layers before the dense one: as many can be frozen."""
    dense: nn.Linear

    @abstractmethod
    def features(self, inputs: Tensor) -> Tensor:
        """Return what the dense layer sees of input frames [n, 100, 128]: float32 [n, features]."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, 25, 128]: the frames that follow the input frames [n, 100, 128]."""
        flat: Tensor = self.dense(self.features(inputs))  # [n, 25 * 128]
        return flat.reshape(-1, TARGET_FRAMES, FRAME_BINS)

    def layer_of(self, parameter_name: str) -> int:
        """Return the layer that owns a parameter, counted from the input; the dense layer is the last."""
        return self.body_layers if parameter_name.startswith("dense.") else self._body_layer_of(parameter_name)

    def _body_layer_of(self, parameter_name: str) -> int:
        """Return the layer of a parameter before the dense layer; a body of several layers says which."""
        del parameter_name
        return 0


@dataclass(frozen=True)
class LstmConfig:
    """Size of an LSTM predictor; the defaults are the seed paper's for the downlink (its uplink has three layers)."""

    layers: int = 2
    units: int = 64


class LstmPredictor(Predictor):
    """LSTM layers over the input frames, and a dense layer on the last hidden state."""

    family = LSTM

    def __init__(self, config: LstmConfig) -> None:
        super().__init__()
        self.config = config
        self.body_layers = config.layers
        self.lstm = nn.LSTM(FRAME_BINS, config.units, config.layers, batch_first=True)
        self.dense = _dense(config.units)

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, units]: the top layer after the last of the input frames [n, 100, 128]."""
        _, (last, _) = self.lstm(inputs)  # last: [layers, n, units]
        top: Tensor = last[-1]
        return top

    def _body_layer_of(self, parameter_name: str) -> int:
        return int(parameter_name.rpartition("_l")[2])


class Autoencoder(Predictor):
    """Dense layers that squeeze the input frames through a bottleneck, and unfold it to the frames that follow.

    It is judged by the same error as every other family, so it predicts instead of repeating its input.
    """

    family = AUTOENCODER

    def __init__(self, units: tuple[int, ...] = AUTOENCODER_UNITS[3]) -> None:
        super().__init__()
        self.body_layers = len(units)
        sizes = (INPUT_FRAMES * FRAME_BINS, *units)
        self.body = nn.ModuleList(nn.Linear(sizes[at], sizes[at + 1]) for at in range(len(units)))
        self.dense = _dense(units[-1])

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, units of the last layer]."""
        values = inputs.flatten(1)
        for layer in self.body:
            values = torch.tanh(layer(values))
        return values

    def _body_layer_of(self, parameter_name: str) -> int:
        return int(parameter_name.split(".")[1])


class LaggedRegression(Predictor):
    """A dense layer on all 928 lagged powers: what a linear predictor is before it is reduced; never published."""

    family = LINEAR

    def __init__(self) -> None:
        super().__init__()
        self.body_layers = 0
        self.dense = _dense(LAGGED_POWERS)
        nn.init.zeros_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, 928]."""
        return lagged_powers(inputs)


class LinearPredictor(Predictor):
    """A few combinations of the lagged powers, and a dense layer on them; `reduced` makes it, without gradients."""

    family = LINEAR

    def __init__(self, combinations: int = COMBINATIONS) -> None:
        super().__init__()
        self.body_layers = 1
        self.lagged = nn.Linear(LAGGED_POWERS, combinations, bias=False)
        self.dense = _dense(combinations)

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, combinations]."""
        combined: Tensor = self.lagged(lagged_powers(inputs))
        return combined


class HybridPredictor(Predictor):
    """An LSTM predictor whose dense layer also sees combinations of the lagged powers: a linear skip."""

    family = HYBRID

    def __init__(self, config: LstmConfig, combinations: int = COMBINATIONS) -> None:
        super().__init__()
        self.config = config
        self.body_layers = config.layers
        self.lstm = nn.LSTM(FRAME_BINS, config.units, config.layers, batch_first=True)
        self.lagged = nn.Linear(LAGGED_POWERS, combinations, bias=False)
        self.dense = _dense(config.units + combinations)

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, units + combinations], the hidden state first."""
        _, (last, _) = self.lstm(inputs)
        return torch.cat([last[-1], self.lagged(lagged_powers(inputs))], dim=1)

    def _body_layer_of(self, parameter_name: str) -> int:
        """Return the layer; the combinations belong to the top LSTM layer, beside which they stand."""
        return (
            self.config.layers - 1 if parameter_name.startswith("lagged") else int(parameter_name.rpartition("_l")[2])
        )


def lagged_powers(inputs: Tensor) -> Tensor:
    """Return float32 [n, 928] of standardised frames [n, 100, 128]: bin means, then 8 sub-band means a frame."""
    sub_bands = inputs.reshape(-1, INPUT_FRAMES, SUB_BANDS, FRAME_BINS // SUB_BANDS).mean(3)
    return torch.cat([inputs.mean(1), sub_bands.flatten(1)], dim=1)


def hybrid_of(predictor: LstmPredictor, linear: LinearPredictor) -> HybridPredictor:
    """Return the hybrid that predicts what an LSTM predictor does, with the combinations of a linear one unused."""
    units = predictor.config.units
    hybrid = HybridPredictor(predictor.config, linear.lagged.out_features)
    with torch.no_grad():
        hybrid.lstm.load_state_dict(predictor.lstm.state_dict())
        hybrid.lagged.load_state_dict(linear.lagged.state_dict())
        hybrid.dense.weight.zero_()
        hybrid.dense.weight[:, :units] = predictor.dense.weight
        hybrid.dense.bias.copy_(predictor.dense.bias)
    return hybrid


def lstm_of(hybrid: HybridPredictor) -> LstmPredictor:
    """Return the LSTM predictor in a hybrid: its dense layer without the linear skip."""
    predictor = LstmPredictor(hybrid.config)
    with torch.no_grad():
        predictor.lstm.load_state_dict(hybrid.lstm.state_dict())
        predictor.dense.weight.copy_(hybrid.dense.weight[:, : hybrid.config.units])
        predictor.dense.bias.copy_(hybrid.dense.bias)
    return predictor


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
    """Return an LSTM predictor with random weights that depend on the seed alone."""
    with _seeded(seed):
        return LstmPredictor(config)


def new_autoencoder(layers: int, seed: int) -> Autoencoder:
    """Return an autoencoder of four or six dense layers with random weights that depend on the seed alone.

    Raises:
        InvalidArgumentError: The number of layers is another one.
    """
    if layers - 1 not in AUTOENCODER_UNITS:
        choices = " or ".join(str(number + 1) for number in AUTOENCODER_UNITS)
        raise InvalidArgumentError(f"an autoencoder has {choices} dense layers, not {layers}")
    with _seeded(seed):
        return Autoencoder(AUTOENCODER_UNITS[layers - 1])


def refittable_copy(predictor: PredictorT, frozen_layers: int) -> PredictorT:
    """Return a copy whose first `frozen_layers` layers, counted from the input, take no gradient.

    Raises:
        InvalidArgumentError: The network has too few layers to freeze that many and still learn something.
    """
    if not 0 <= frozen_layers <= predictor.body_layers:
        raise InvalidArgumentError(
            f"{frozen_layers} layers cannot be frozen in a network of {predictor.body_layers} layers and a dense "
            f"layer: choose 0 to {predictor.body_layers}"
        )
    refitted = copy.deepcopy(predictor)
    for name, parameter in refitted.named_parameters():
        parameter.requires_grad_(predictor.layer_of(name) >= frozen_layers)
    return refitted


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _dense(features: int) -> nn.Linear:
    return nn.Linear(features, TARGET_FRAMES * FRAME_BINS)
