"""From tensors by name back to the network that has them."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from bandwatch.errors import CorruptError
from training_worker.learning import networks
from training_worker.learning.keras import KerasLstmPredictor
from training_worker.learning.networks import Predictor

_STATISTICS: Final = "score."
_LSTM_GATES: Final = 4
_LARGEST_UNITS: Final = 4096


def load_predictor(family: str, weights: Mapping[str, npt.NDArray[np.float32]]) -> Predictor:
    """Return the predictor that has those parameters; its size follows from their names and shapes.

    Raises:
        CorruptError: The family is unknown, or the arrays are not the finite parameters of one network of it.
    """
    own = {name: array for name, array in weights.items() if not name.startswith(_STATISTICS)}
    with torch.device("meta"):  # takes no memory, whatever size the names and shapes pretend
        predictor = _blank(family, own)
    expected = {name: tuple(parameter.shape) for name, parameter in predictor.named_parameters()}
    found = {name: array.shape for name, array in own.items()}
    if found != expected:
        raise CorruptError(f"the tensors have the shapes {found}, and this network needs {expected}")
    if not all(np.isfinite(array).all() for array in own.values()):
        raise CorruptError("the tensors hold values that are not finite")
    predictor.to_empty(device="cpu").load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in own.items()}
    )
    return predictor


def _blank(family: str, weights: Mapping[str, npt.NDArray[np.float32]]) -> Predictor:
    """Return a network of that family whose size fits the tensors as far as their shapes can tell."""
    match family:
        case networks.LINEAR:
            return networks.LinearPredictor(_combinations(weights))
        case networks.AUTOENCODER:
            return networks.Autoencoder(_autoencoder_units(weights))
        case networks.LSTM:
            return networks.LstmPredictor(_lstm_config(weights))
        case networks.HYBRID:
            return networks.HybridPredictor(_lstm_config(weights), _combinations(weights))
        case networks.KERAS_LSTM:
            return KerasLstmPredictor()
        case _:
            known = ", ".join(networks.FAMILIES)
            raise CorruptError(f"this worker cannot refit the family {family!r}: it knows {known}")


def _lstm_config(weights: Mapping[str, npt.NDArray[np.float32]]) -> networks.LstmConfig:
    layers = sum(name.startswith("lstm.weight_hh_l") for name in weights)
    recurrent = weights.get("lstm.weight_hh_l0")
    match () if recurrent is None else recurrent.shape:
        case (gates, units) if gates == _LSTM_GATES * units > 0:
            return networks.LstmConfig(layers=layers, units=units)
        case shape:
            raise CorruptError(f"the first LSTM layer has recurrent weights of shape {shape}, which none can have")


def _combinations(weights: Mapping[str, npt.NDArray[np.float32]]) -> int:
    lagged = weights.get("lagged.weight")
    match () if lagged is None else lagged.shape:
        case (combinations, networks.LAGGED_POWERS) if 0 < combinations <= networks.LAGGED_POWERS:
            return int(combinations)
        case shape:
            raise CorruptError(f"combinations of lagged powers have weights of shape {shape}, which none can have")


def _autoencoder_units(weights: Mapping[str, npt.NDArray[np.float32]]) -> tuple[int, ...]:
    layers = sum(name.startswith("body.") and name.endswith(".weight") for name in weights)
    shapes = [np.shape(weights.get(f"body.{layer}.weight", 0)) for layer in range(layers)]
    units = tuple(shape[0] if shape else 0 for shape in shapes)
    if not units or not all(0 < unit <= _LARGEST_UNITS for unit in units):
        raise CorruptError(f"an autoencoder has no layers of {units} units")
    return units
