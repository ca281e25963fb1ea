"""A predictor as the platform keeps it: one ONNX graph without weights, and the weights as arrays by name."""

import copy
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
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, INPUT_FRAMES, WINDOW_FRAMES
from training_worker.learning.networks import FAMILY, LstmConfig, LstmPredictor, Scorer, standardise

TOLERANCE_DB: Final = 1e-4
"""Largest difference between onnxruntime and torch in double precision, unless single precision itself loses more."""
_TIMES_ROUNDING: Final = 4.0
"""So many times what torch loses in single precision is still rounding: some networks amplify it over 100 steps, and
lost 0.0001 dB of a window's error. A bias that is lost in the export costs whole decibels."""
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
        CorruptError: Errors of random windows, or predictions (RMSE over a window), are off by more than
            `TOLERANCE_DB` and by more than rounding.
    """
    random = np.random.default_rng(0)
    for count in (1, 64):
        codes = random.integers(60, 140, (count, WINDOW_FRAMES, FRAME_BINS), dtype=np.uint8)
        exact_db, exact = _in_double_precision(predictor, codes)
        with torch.inference_mode():
            rounded_db, rounded = (out.numpy() for out in Scorer(predictor).eval()(torch.from_numpy(codes)))
        found_db, found = score(graph, tensors(predictor), codes)
        for off_db, rounding_db in (
            (np.abs(found_db - exact_db), np.abs(rounded_db - exact_db)),
            (scoring.error_db(exact, found), scoring.error_db(exact, rounded)),
        ):
            allowed_db = max(TOLERANCE_DB, _TIMES_ROUNDING * float(rounding_db.max()))
            if not float(off_db.max()) <= allowed_db:  # also true of NaN
                raise CorruptError(
                    f"the exported graph is {off_db.max()} dB off what was trained, and rounding explains "
                    f"{allowed_db} dB: it must not be released"
                )


def _in_double_precision(
    predictor: LstmPredictor, codes: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return errors in dB [n] and predicted codes [n, 25, 128] of windows uint8 [n, 125, 128]."""
    with torch.inference_mode():
        standardised, mean, deviation = standardise(torch.from_numpy(codes))
        inputs = standardised[:, :INPUT_FRAMES].double()
        predicted = (copy.deepcopy(predictor).double().eval()(inputs) * deviation + mean).numpy()
    residual = predicted - codes[:, INPUT_FRAMES:]
    return CODE_STEP_DB * np.sqrt(np.square(residual).mean((1, 2))), predicted


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
