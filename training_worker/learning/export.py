"""A predictor as the platform keeps it: one ONNX graph without weights, and the weights as arrays by name."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from bandwatch.errors import CorruptError
from bandwatch.spectrogram import scoring
from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES
from training_worker.learning.networks import FAMILY, LstmConfig, LstmPredictor, Scorer

SCORE_TOLERANCE_DB: Final = 1e-3
PREDICTION_TOLERANCE_DB: Final = 1e-2
"""Largest differences between onnxruntime and torch of a window's error, and of its prediction (RMSE).

A new network keeps 1e-4 dB. Some trained networks amplify small differences over 100 steps of noise, such as those of
onnxruntime's own way to compute sigmoids: 1.1e-4 dB were seen in errors, 1.5e-3 dB in predictions. A bias lost in the
export costs whole decibels.
"""
_PREFIX: Final = "predictor."
_LSTM_GATES: Final = 4
_EXPORTER_WARNINGS: Final = (
    "_check_is_size will be removed",
    "The .grad attribute of a Tensor",
    r"The tensor attributes .*_flat_weights",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)

Tensors = dict[str, npt.NDArray[np.float32]]


def export_graph(predictor: LstmPredictor) -> bytes:
    """Return the ONNX graph of codes uint8 [n, 125, 128] to error_db float32 [n] and predicted float32 [n, 25, 128].

    Parameters are external data whose location is their name, to be handed over when the graph is loaded. So the bytes
    depend on the architecture alone, and every student of a teacher shares its graph.
    """
    sample = torch.zeros((2, WINDOW_FRAMES, FRAME_BINS), dtype=torch.uint8)  # a batch of one would be baked in
    with _quiet_exporter():
        program = torch.onnx.export(
            Scorer(predictor).eval(),
            (sample,),
            dynamo=True,
            external_data=False,
            optimize=False,  # the optimiser would fold the LSTM's biases into constants; onnxruntime does it on loading
            input_names=["codes"],
            output_names=["error_db", "predicted"],
            dynamic_shapes={"codes": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    if program is None:
        raise CorruptError("the exporter returned no graph")
    return _without_weights(program.model_proto, set(dict(predictor.named_parameters())))


def tensors(predictor: LstmPredictor) -> Tensors:
    """Return the parameters by name, float32."""
    return {name: parameter.detach().numpy().copy() for name, parameter in predictor.named_parameters()}


def load_predictor(family: str, weights: Mapping[str, npt.NDArray[np.float32]]) -> LstmPredictor:
    """Return the predictor that has those parameters; its size follows from their names and shapes.

    Raises:
        CorruptError: The family is unknown, or the arrays are not the finite parameters of one network of it.
    """
    if family != FAMILY:
        raise CorruptError(f"this worker cannot refit the family {family!r}: it knows {FAMILY!r}")
    layers = sum(name.startswith("lstm.weight_hh_l") for name in weights)
    recurrent = weights.get("lstm.weight_hh_l0")
    match () if recurrent is None else recurrent.shape:
        case (gates, units) if gates == _LSTM_GATES * units > 0:
            predictor = LstmPredictor(LstmConfig(layers=layers, units=units))
        case shape:
            raise CorruptError(f"the first LSTM layer has recurrent weights of shape {shape}, which none can have")
    expected = {name: tuple(parameter.shape) for name, parameter in predictor.named_parameters()}
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        raise CorruptError(f"the tensors have the shapes {found}, and this network needs {expected}")
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise CorruptError("the tensors hold values that are not finite")
    predictor.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    return predictor


def score(
    graph: bytes, weights: Mapping[str, npt.NDArray[np.float32]], codes: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return error_db [n] and predicted codes [n, 25, 128] of windows uint8 [n, 125, 128], by onnxruntime.

    Raises:
        CorruptError: onnxruntime cannot load the graph with these tensors.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in weights.values()]
    options.add_external_initializers(list(weights), values)
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (refusals.Fail, refusals.InvalidArgument, refusals.InvalidGraph, refusals.InvalidProtobuf) as error:
        raise CorruptError(f"onnxruntime cannot load the graph with these tensors: {error}") from error
    error_db, predicted = session.run(["error_db", "predicted"], {"codes": codes})
    return error_db, predicted


def check_against_torch(graph: bytes, predictor: LstmPredictor) -> None:
    """See that the graph with the predictor's tensors computes what torch computes, in batches of 1 and of 64.

    Raises:
        CorruptError: On random windows they are further apart than `SCORE_TOLERANCE_DB` and `PREDICTION_TOLERANCE_DB`.
    """
    random = np.random.default_rng(0)
    for count in (1, 64):
        codes = random.integers(60, 140, (count, WINDOW_FRAMES, FRAME_BINS), dtype=np.uint8)
        with torch.inference_mode():
            expected_db, expected = (out.numpy() for out in Scorer(predictor).eval()(torch.from_numpy(codes)))
        found_db, found = score(graph, tensors(predictor), codes)
        score_db = float(np.abs(found_db - expected_db).max())
        prediction_db = float(scoring.error_db(expected, found).max())
        if not (score_db <= SCORE_TOLERANCE_DB and prediction_db <= PREDICTION_TOLERANCE_DB):  # also true of NaN
            raise CorruptError(
                f"the exported graph's errors are {score_db} dB and its predictions {prediction_db} dB off what was "
                "trained: it must not be released"
            )


def _without_weights(model: Any, parameters: set[str]) -> bytes:
    """Return the graph's bytes with parameters by name instead of value, and without the exporter's remarks."""
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    graph = stripped.graph
    del graph.value_info[:]
    for part in (stripped, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for node in graph.node:
        node.input[:] = [name.removeprefix(_PREFIX) for name in node.input]
    for tensor in graph.initializer:
        tensor.name = tensor.name.removeprefix(_PREFIX)
        if tensor.name in parameters:
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=tensor.name)
    return stripped.SerializeToString(deterministic=True)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep back the exporter's remarks on torch's own deprecated functions and on packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in _EXPORTER_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        logger.setLevel(level)
