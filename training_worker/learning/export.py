"""A model as the platform keeps it: one ONNX graph without weights, and the weights as arrays by name."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnxruntime
import torch
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from bandwatch.errors import CorruptError
from bandwatch.spectrogram import scoring
from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES
from training_worker.learning.scores import Scorer

SCORE_TOLERANCE_DB: Final = 1e-3
PREDICTION_TOLERANCE_DB: Final = 1e-2
SHARE_TOLERANCE: Final = 1e-2
"""Largest differences between onnxruntime and torch: of a window's error, of its prediction (RMSE), and of scores.

A new network keeps 1e-4 dB. Some trained networks amplify small differences over 100 steps of noise, such as those of
onnxruntime's own way to compute sigmoids: 1.1e-4 dB were seen in errors, 1.5e-3 dB in predictions. A bias lost in the
export costs whole decibels.
"""
_PREFIX: Final = "predictor."
OUTPUTS: Final = ("error_db", "predicted", "whitened", "bands")
"""What a graph returns; `Scorer.forward` says what each is."""
_EXPORTER_WARNINGS: Final = (
    "_check_is_size will be removed",
    "The .grad attribute of a Tensor",
    r"The tensor attributes .*_flat_weights",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)

Tensors = dict[str, npt.NDArray[np.float32]]


def export_graph(scorer: Scorer) -> bytes:
    """Return the ONNX graph of a scorer: codes uint8 [n, 125, 128] to `OUTPUTS`.

    Parameters are external data whose location is their name, to be handed over when the graph is loaded. So the bytes
    depend on the architecture alone, and every student of a teacher and its family shares the teacher's graph.
    """
    sample = torch.zeros((2, WINDOW_FRAMES, FRAME_BINS), dtype=torch.uint8)  # a batch of one would be baked in
    with _quiet_exporter():
        program = torch.onnx.export(
            scorer.eval(),
            (sample,),
            dynamo=True,
            external_data=False,
            optimize=False,  # the optimiser would fold the LSTM's biases into constants; onnxruntime does it on loading
            input_names=["codes"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"codes": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    if program is None:
        raise CorruptError("the exporter returned no graph")
    return _without_weights(program.model_proto, {name.removeprefix(_PREFIX) for name, _ in scorer.named_parameters()})


def self_contained(graph: bytes, weights: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """Return the graph with its tensors inside: one ONNX file for any runtime."""
    model = onnx.load_model_from_string(graph)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weights[tensor.name], tensor.name))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def outputs_of(graph: bytes) -> tuple[str, ...]:
    """Return the names of a graph's outputs.

    Raises:
        CorruptError: The bytes are no graph.
    """
    try:
        return tuple(output.name for output in onnx.load_model_from_string(graph).graph.output)
    except DecodeError as error:
        raise CorruptError(f"these {len(graph)} bytes are no ONNX graph: {error}") from error


def tensors(scorer: Scorer) -> Tensors:
    """Return the weights and the statistics by name, float32."""
    return {
        name.removeprefix(_PREFIX): parameter.detach().numpy().copy() for name, parameter in scorer.named_parameters()
    }


@dataclass(frozen=True, eq=False)
class Scored:
    """What a graph says of windows: float32 arrays as `Scorer.forward` returns them."""

    error_db: npt.NDArray[np.float32]
    predicted: npt.NDArray[np.float32]
    whitened: npt.NDArray[np.float32]
    bands: npt.NDArray[np.float32]


class Session:
    """A model in onnxruntime, as observers run it.

    Raises:
        CorruptError: onnxruntime cannot load the graph with these tensors.
    """

    def __init__(self, graph: bytes, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._values = [
            onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in weights.values()
        ]
        options.add_external_initializers(list(weights), self._values)
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except (refusals.Fail, refusals.InvalidArgument, refusals.InvalidGraph, refusals.InvalidProtobuf) as error:
            raise CorruptError(f"onnxruntime cannot load the graph with these tensors: {error}") from error

    def score(self, codes: npt.NDArray[np.uint8]) -> Scored:
        """Return what the model says of windows uint8 [n, 125, 128]; older graphs say nothing of bands."""
        given = {"codes": np.ascontiguousarray(codes)}
        names = [output.name for output in self._session.get_outputs()]
        found = dict(zip(names, self._session.run(names, given), strict=True))
        n = len(codes)
        return Scored(
            found["error_db"],
            found["predicted"],
            found.get("whitened", np.zeros(n, np.float32)),
            found.get("bands", np.zeros((n, 0), np.float32)),
        )


def check_against_torch(graph: bytes, scorer: Scorer) -> None:
    """See that the graph with the scorer's tensors computes what torch computes, in batches of 1 and of 64.

    Raises:
        CorruptError: On random windows they are further apart than the tolerances of this module.
    """
    random = np.random.default_rng(0)
    session = Session(graph, tensors(scorer))
    for count in (1, 64):
        codes = random.integers(60, 140, (count, WINDOW_FRAMES, FRAME_BINS), dtype=np.uint8)
        with torch.inference_mode():
            expected = Scored(*(out.numpy() for out in scorer.eval()(torch.from_numpy(codes))))
        found = session.score(codes)
        score_db = float(np.abs(found.error_db - expected.error_db).max())
        prediction_db = float(scoring.error_db(expected.predicted, found.predicted).max())
        share = _share_off(found.whitened[:, None], expected.whitened[:, None])
        share = max(share, _share_off(found.bands, expected.bands))
        close = score_db <= SCORE_TOLERANCE_DB and prediction_db <= PREDICTION_TOLERANCE_DB and share <= SHARE_TOLERANCE
        if not close:  # also where something is no number
            raise CorruptError(
                f"the exported graph's errors are {score_db} dB, its predictions {prediction_db} dB and its scores "
                f"{share:.2%} off what was trained: it must not be released"
            )


def _share_off(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Return how far rows are off, as a share of the largest value of each."""
    return float((np.abs(found - expected).max(1) / np.abs(expected).max(1)).max())


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
