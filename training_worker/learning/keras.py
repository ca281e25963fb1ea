"""Teachers that were trained with Keras 2: their weights, read from HDF5 files, in a module of torch.

The network is the seed paper authors': three times LSTM and batch normalisation, then a dense layer. Its LSTM layers
differ from torch's in one point: the gates are clip(0.2 x + 0.5, 0, 1), Keras 2's "hard_sigmoid".
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from torch import Tensor, nn

from bandwatch.errors import CorruptError, InvalidArgumentError
from bandwatch.spectrogram.bands import FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from training_worker.learning.keras_files import Arrays, KerasFile, read_keras_file
from training_worker.learning.networks import KERAS_LSTM, Predictor

UNITS: Final = 64
"""Units of every LSTM layer."""
LSTM_LAYERS: Final = 3
_GATES: Final = 4 * UNITS
_TARGETS: Final = TARGET_FRAMES * FRAME_BINS
_KERAS_TO_ONNX_GATES: Final = (0, 3, 1, 2)  # i f c o to i o f c
_DEFAULT_EPSILON: Final = 1e-3  # of Keras's BatchNormalization


class NormalisedLstm(nn.Module):
    """An LSTM layer with hard-sigmoid gates, and the batch normalisation after it as the constants that it comes to.

    Weights are laid out as the ONNX operator LSTM takes them: one row for each unit of the gates i, o, f, c.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(torch.zeros(_GATES, inputs))
        self.recurrent_weight = nn.Parameter(torch.zeros(_GATES, UNITS))
        self.bias = nn.Parameter(torch.zeros(_GATES))
        self.scale = nn.Parameter(torch.ones(UNITS))
        self.shift = nn.Parameter(torch.zeros(UNITS))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the normalised states [frames, n, 64] after each of the inputs [frames, n, inputs]."""
        states = self._as_one_node(inputs) if torch.onnx.is_in_onnx_export() else self._step_by_step(inputs)
        return states * self.scale + self.shift

    def _step_by_step(self, inputs: Tensor) -> Tensor:
        """Compute as Keras does: i, f, o = hard_sigmoid(...), c' = f c + i tanh(...), h = o tanh(c')."""
        hidden = cell = inputs.new_zeros(inputs.shape[1], UNITS)
        states = []
        for driven in inputs @ self.input_weight.T + self.bias:
            gates = driven + hidden @ self.recurrent_weight.T
            input_gate, output_gate, forget_gate = (0.2 * gates[:, : 3 * UNITS] + 0.5).clamp(0, 1).chunk(3, dim=1)
            cell = forget_gate * cell + input_gate * torch.tanh(gates[:, 3 * UNITS :])
            hidden = output_gate * torch.tanh(cell)
            states.append(hidden)
        return torch.stack(states)

    def _as_one_node(self, inputs: Tensor) -> Tensor:
        """Stand for the ONNX operator LSTM (opset 14), which knows these gates; written out it is thousands of nodes.

        What this computes is zeros: the exporter looks only at names and shapes.
        """
        frames, windows, _ = inputs.shape
        biases = nn.functional.pad(self.bias, (0, _GATES))  # the operator has a second bias
        states, _, _ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            [inputs, self.input_weight[None], self.recurrent_weight[None], biases[None]],
            {
                "hidden_size": UNITS,
                "activations": ["HardSigmoid", "Tanh", "Tanh"],
                "activation_alpha": [0.2],
                "activation_beta": [0.5],
            },
            dtypes=[torch.float32] * 3,
            shapes=[(frames, 1, windows, UNITS), (1, windows, UNITS), (1, windows, UNITS)],
        )
        return states.squeeze(1)


class KerasLstmPredictor(Predictor):
    """Standardised input frames [n, 100, 128] to the standardised next frames [n, 25, 128].

    How the authors scaled their frames is unknown, so a dense layer that was not fitted again may be far off.
    """

    family = KERAS_LSTM

    def __init__(self) -> None:
        super().__init__()
        self.body_layers = LSTM_LAYERS
        self.lstm = nn.Sequential(*(NormalisedLstm(FRAME_BINS if at == 0 else UNITS) for at in range(LSTM_LAYERS)))
        self.dense = nn.Linear(UNITS, _TARGETS)

    def features(self, inputs: Tensor) -> Tensor:
        """Return float32 [n, 64]: the normalised state of the top layer after the last of the input frames."""
        states: Tensor = self.lstm(inputs.transpose(0, 1))
        return states[-1]

    def _body_layer_of(self, parameter_name: str) -> int:
        return int(parameter_name.split(".")[1])


def read_keras(path: Path) -> KerasLstmPredictor:
    """Return the network of an HDF5 file that Keras 2 wrote by `model.save` or `model.save_weights`.

    A file of weights alone says nothing of activations and epsilons: those of the authors and Keras's default, 0.001,
    are taken for granted.

    Raises:
        FailedPreconditionError: h5py is not installed.
        NotFoundError: There is no such file.
        CorruptError: The file is damaged, is no file of Keras 2, or holds weights that are no numbers.
        InvalidArgumentError: It holds another network.
    """
    return network_of(read_keras_file(path))


def network_of(file: KerasFile) -> KerasLstmPredictor:
    """Return the network that a file describes and holds the weights of.

    Raises:
        CorruptError: The description is damaged, or weights are no numbers.
        InvalidArgumentError: It is another network.
    """
    epsilons = [_DEFAULT_EPSILON] * LSTM_LAYERS if file.description is None else _epsilons(file.description)
    _check_shapes(file.layers)
    *normalised, dense = file.layers
    predictor = KerasLstmPredictor()
    for layer, lstm, norm, epsilon in zip(predictor.lstm, normalised[::2], normalised[1::2], epsilons, strict=True):
        layer.load_state_dict(_normalised_lstm(lstm, norm, epsilon))
    predictor.dense.load_state_dict(
        {"weight": torch.from_numpy(dense["kernel"].T), "bias": torch.from_numpy(dense["bias"])}
    )
    if not all(bool(parameter.isfinite().all()) for parameter in predictor.parameters()):
        raise CorruptError("the file holds weights that are not finite")
    return predictor


class _Layer(BaseModel):
    """What Keras writes of every layer; settings that only training uses are left aside."""

    batch_input_shape: list[int | None] | None = None


class _Lstm(_Layer):
    class_name: Literal["LSTM"]
    units: Literal[64]
    activation: Literal["tanh"]
    recurrent_activation: Literal["hard_sigmoid"]
    use_bias: Literal[True] = True
    go_backwards: Literal[False] = False
    stateful: Literal[False] = False
    time_major: Literal[False] = False
    return_sequences: bool = False


class _BatchNormalization(_Layer):
    class_name: Literal["BatchNormalization"]
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _DEFAULT_EPSILON


class _Dense(_Layer):
    class_name: Literal["Dense"]
    units: Literal[3200]
    activation: Literal["linear"]


class _Activation(_Layer):
    class_name: Literal["Activation"]
    activation: Literal["linear"]


class _Reshape(_Layer):
    class_name: Literal["Reshape"]
    target_shape: tuple[Literal[25], Literal[128]]


class _Passive(_Layer):
    class_name: Literal["Dropout", "InputLayer"]


_AnyLayer = Annotated[
    _Lstm | _BatchNormalization | _Dense | _Activation | _Reshape | _Passive, Field(discriminator="class_name")
]
_LAYERS: Final = TypeAdapter(list[_AnyLayer])


def _epsilons(description: str) -> list[float]:
    """Return the epsilon of each batch normalisation of a network, described as Keras writes it, that is the authors'.

    Early versions of Keras 2 wrote the list of layers where later ones have an object that holds it.
    """
    try:
        described = json.loads(description)
        sequential = described["class_name"] == "Sequential"
        config = described["config"]
        plain = [
            layer["config"] | {"class_name": layer["class_name"]}
            for layer in (config if isinstance(config, list) else config["layers"])
        ]
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        raise CorruptError(f"the file's description of the network (model_config) is damaged: {error}") from error
    if not sequential:
        raise InvalidArgumentError("the network is no Sequential model of Keras: only the authors' layout can be read")
    try:
        layers = _LAYERS.validate_python(plain)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgumentError(f"the network is not the authors': layer {where}: {first['msg']}") from error
    _check_order(layers)
    return [layer.epsilon for layer in layers if isinstance(layer, _BatchNormalization)]


def _check_order(layers: Sequence[_AnyLayer]) -> None:
    shape = layers[0].batch_input_shape if layers else None
    if shape is not None and shape[1:] not in ([INPUT_FRAMES, FRAME_BINS], [None, FRAME_BINS]):
        raise InvalidArgumentError(f"the network's batch_input_shape is {shape}, and it must end with 100, 128")
    acting = [layer for layer in layers if isinstance(layer, _Lstm | _BatchNormalization | _Dense)]
    if [layer.class_name for layer in acting] != ["LSTM", "BatchNormalization"] * LSTM_LAYERS + ["Dense"]:
        found = ", ".join(layer.class_name for layer in acting)
        raise InvalidArgumentError(f"the layers are {found}, and not three times LSTM, BatchNormalization, then Dense")
    sequences = [layer.return_sequences for layer in acting if isinstance(layer, _Lstm)]
    if sequences != [True, True, False]:
        raise InvalidArgumentError(f"return_sequences of the LSTM layers is {sequences}, not [True, True, False]")


def _check_shapes(layers: Sequence[Arrays]) -> None:
    found = [{name: array.shape for name, array in layer.items()} for layer in layers]
    needed = list(_shapes())
    if len(found) != len(needed):
        raise InvalidArgumentError(f"the file has weights of {len(found)} layers, and the network needs {len(needed)}")
    for number, (has, needs) in enumerate(zip(found, needed, strict=True)):
        if has != needs:
            raise InvalidArgumentError(f"layer {number} has weights of the shapes {has}, and it needs {needs}")


def _shapes() -> Iterator[dict[str, tuple[int, ...]]]:
    """Yield the shapes of the weights of every layer, as Keras lays them out."""
    for inputs in (FRAME_BINS, *[UNITS] * (LSTM_LAYERS - 1)):
        yield {"kernel": (inputs, _GATES), "recurrent_kernel": (UNITS, _GATES), "bias": (_GATES,)}
        yield {"gamma": (UNITS,), "beta": (UNITS,), "moving_mean": (UNITS,), "moving_variance": (UNITS,)}
    yield {"kernel": (UNITS, _TARGETS), "bias": (_TARGETS,)}


def _normalised_lstm(lstm: Arrays, norm: Arrays, epsilon: float) -> dict[str, Tensor]:
    """Return the parameters of a layer for an LSTM layer and the batch normalisation after it.

    Normalisation is gamma (x - mean) / sqrt(variance + epsilon) + beta, once training is over.
    """
    gamma, beta, mean, variance = (
        torch.from_numpy(norm[name]) for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    if not bool(((variance >= 0) & variance.isfinite()).all()):
        raise CorruptError("the file holds a moving_variance that is negative or no number")
    scale = gamma / (variance + epsilon).sqrt()
    return {
        "input_weight": _rows(lstm["kernel"]),
        "recurrent_weight": _rows(lstm["recurrent_kernel"]),
        "bias": _rows(lstm["bias"]),
        "scale": scale,
        "shift": beta - mean * scale,
    }


def _rows(kernel: npt.NDArray[np.float64]) -> Tensor:
    """Return [256, ...] with ONNX's order of gates from Keras's [..., 256], whose order is i, f, c, o."""
    gates = torch.from_numpy(kernel.T).chunk(4)
    return torch.cat([gates[at] for at in _KERAS_TO_ONNX_GATES])
