"""A model in force: an onnxruntime session and the thresholds that its manifest states."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import BlobReference, Manifest, TensorEntry
from bandwatch.errors import CorruptError
from bandwatch.spectrogram.bands import FRAME_BINS, TARGET_FRAMES
from observer_agent.settings import ThresholdMethod

SELF_TEST_TOLERANCE_DB: Final = 1e-3
"""How far the errors of golden windows may be from the manifest's: float32 sums differ in order between machines."""

ReadBlob = Callable[[BlobReference], bytes]


class SelfTestError(CorruptError):
    """The model does not compute here what it computed where it was made."""

    code = "self_test_failed"


class ScoringModel:
    """Scores windows. May be called by one thread at a time."""

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession, tensors: list[Any]) -> None:
        self.manifest = manifest
        self.name = manifest.model
        self.serial = manifest.serial
        self._session = session
        self._tensors = tensors  # the session refers to their memory

    def score(self, windows: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (error in dB [n], predicted codes [n, 25, 128]), both float32, of windows uint8 [n, 125, 128]."""
        codes = np.ascontiguousarray(windows)
        error_db, predicted = self._session.run(["error_db", "predicted"], {"codes": codes})
        return error_db, predicted

    def threshold(self, false_alarm_rate: float, method: ThresholdMethod) -> tuple[float, float]:
        """Return the threshold in dB for a false-alarm rate, and the rate that it was calibrated for."""
        threshold = self.manifest.content.threshold_for(false_alarm_rate)
        decibels = threshold.empirical_db if method == "empirical" else threshold.gaussian_db
        return decibels, threshold.false_alarm_rate


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
    error_db, predicted = model.score(golden_windows(2))
    if error_db.shape != (2,) or predicted.shape != (2, TARGET_FRAMES, FRAME_BINS):
        raise CorruptError(
            f"{model.name} answers with shapes {error_db.shape} and {predicted.shape}, "
            f"not (2,) and (2, {TARGET_FRAMES}, {FRAME_BINS})"
        )


def _self_test(model: ScoringModel, promised_db: tuple[float, ...]) -> None:
    error_db, _ = model.score(golden_windows(len(promised_db)))
    furthest_db = float(np.abs(error_db - np.asarray(promised_db)).max())
    if not furthest_db <= SELF_TEST_TOLERANCE_DB:  # also when it is not a number
        raise SelfTestError(
            f"{model.name} is {furthest_db:g} dB off on golden windows, more than {SELF_TEST_TOLERANCE_DB:g} dB"
        )
