"""A model in force: an onnxruntime session, and the manifest that states its thresholds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import BlobReference, Manifest, TensorEntry
from bandwatch.errors import CorruptError
from bandwatch.spectrogram.bands import FRAME_BINS, TARGET_FRAMES

SELF_TEST_TOLERANCE_DB: Final = 1e-3
"""How far the errors of golden windows may be from the manifest's: float32 sums differ in order between machines."""

OUTPUT_OF: Final = {"whitened": "whitened", "band": "bands", "standing": "bands"}
"""Output of the graph that a score is made of; models that know no score but the error have none of these."""

_CHECKED_WINDOWS: Final = 2

ReadBlob = Callable[[BlobReference], bytes]


class SelfTestError(CorruptError):
    """The model does not compute here what it computed where it was made."""

    code = "self_test_failed"


@dataclass(frozen=True)
class ModelOutputs:
    """What a graph says of n windows, all float32: error in dB [n], predicted codes [n, 25, 128].

    `whitened` [n] and `bands` [n, bands], residuals in units of their own deviations, where the graph gives them.
    """

    error_db: NDArray[np.float32]
    predicted: NDArray[np.float32]
    whitened: NDArray[np.float32] | None = None
    bands: NDArray[np.float32] | None = None


class ScoringModel:
    """Scores windows. May be called by one thread at a time."""

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession, tensors: list[Any]) -> None:
        self.manifest = manifest
        self.name = manifest.model
        self.serial = manifest.serial
        self._session = session
        self._tensors = tensors  # the session refers to their memory
        given = {output.name for output in session.get_outputs()}
        self._outputs = ["error_db", "predicted", *sorted(given & set(OUTPUT_OF.values()))]

    def score(self, windows: NDArray[np.uint8]) -> ModelOutputs:
        """Return what the model says of windows uint8 [n, 125, 128]."""
        found = self._session.run(self._outputs, {"codes": np.ascontiguousarray(windows)})
        return ModelOutputs(**dict(zip(self._outputs, found, strict=True)))


def load_model(manifest: Manifest, read_blob: ReadBlob, *, threads: int) -> ScoringModel:
    """Load a model and see that it reproduces the errors of its golden windows.

    Raises:
        CorruptError: Its parts do not make a model of the interface that this agent knows.
        SelfTestError: It computes other errors here.
    """
    content = manifest.content
    tensors = [_tensor(entry, read_blob) for entry in content.tensors]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        options.add_external_initializers([entry.name for entry in content.tensors], tensors)
        graph = read_blob(content.graph)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        model = ScoringModel(manifest, session, tensors)
        _check_outputs(model)
    except CorruptError:
        raise
    except Exception as error:  # onnxruntime raises a dozen unrelated classes for a bad graph
        raise CorruptError(f"onnxruntime cannot load {manifest.model}: {error}") from error
    _self_test(model, content.golden_errors_db)
    return model


def _tensor(entry: TensorEntry, read_blob: ReadBlob) -> Any:
    content = read_blob(entry.blob)
    values = np.frombuffer(content, dtype="<f4") if len(content) % 4 == 0 else np.empty(0, dtype="<f4")
    if values.size != int(np.prod(entry.shape)):
        raise CorruptError(f"tensor {entry.name} has {len(content)} bytes, which do not fill shape {entry.shape}")
    return onnxruntime.OrtValue.ortvalue_from_numpy(values.reshape(entry.shape).copy())


def _check_outputs(model: ScoringModel) -> None:
    found = model.score(golden_windows(_CHECKED_WINDOWS))
    frames = (_CHECKED_WINDOWS, TARGET_FRAMES, FRAME_BINS)
    if found.error_db.shape != frames[:1] or found.predicted.shape != frames:
        raise CorruptError(
            f"{model.name} answers with shapes {found.error_db.shape} and {found.predicted.shape}, "
            f"not {frames[:1]} and {frames}"
        )
    sound = {"whitened": _has_row_each(found.whitened, axes=1), "bands": _has_row_each(found.bands, axes=2)}
    for score in model.manifest.content.score_names:
        if score in OUTPUT_OF and not sound[OUTPUT_OF[score]]:
            raise CorruptError(f"{model.name} is calibrated for the score {score!r}, which its graph does not give")


def _has_row_each(values: NDArray[np.float32] | None, *, axes: int) -> bool:
    return values is not None and values.ndim == axes and len(values) == _CHECKED_WINDOWS and values.size > 0


def _self_test(model: ScoringModel, promised_db: tuple[float, ...]) -> None:
    error_db = model.score(golden_windows(len(promised_db))).error_db
    furthest_db = float(np.abs(error_db - np.asarray(promised_db)).max())
    if not furthest_db <= SELF_TEST_TOLERANCE_DB:  # also when it is not a number
        raise SelfTestError(
            f"{model.name} is {furthest_db:g} dB off on golden windows, more than {SELF_TEST_TOLERANCE_DB:g} dB"
        )
