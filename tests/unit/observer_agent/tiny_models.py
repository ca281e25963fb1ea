"""Real ONNX models of a few lines, and releases of them."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import (
    BlobReference,
    ErrorStatistics,
    Manifest,
    ModelContent,
    TensorEntry,
    Threshold,
)
from bandwatch.artifacts.signing import SigningKey
from bandwatch.spectrogram.bands import FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from observer_agent.models.desired import AssignedRelease
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator

GOLDEN = 4


def tiny_graph() -> bytes:
    """Return a graph that predicts `scale` times the mean of the input frames, plus `bias`; both are external."""
    constants = [
        numpy_helper.from_array(np.array([0]), "zero"),
        numpy_helper.from_array(np.array([INPUT_FRAMES]), "split"),
        numpy_helper.from_array(np.array([INPUT_FRAMES + TARGET_FRAMES]), "end"),
        numpy_helper.from_array(np.array([1]), "time"),
        numpy_helper.from_array(np.array([1, 2]), "both"),
        numpy_helper.from_array(np.array(0.5, dtype=np.float32), "half_db"),
    ]
    external = [_external("scale", (1,)), _external("bias", (TARGET_FRAMES, FRAME_BINS))]
    nodes = [
        helper.make_node("Cast", ["codes"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["levels", "zero", "split", "time"], ["inputs"]),
        helper.make_node("Slice", ["levels", "split", "end", "time"], ["targets"]),
        helper.make_node("ReduceMean", ["inputs", "time"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["predicted"]),
        helper.make_node("Sub", ["predicted", "targets"], ["difference"]),
        helper.make_node("Mul", ["difference", "difference"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "both"], ["mean_square"], keepdims=0),
        helper.make_node("Sqrt", ["mean_square"], ["rms"]),
        helper.make_node("Mul", ["rms", "half_db"], ["error_db"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("codes", TensorProto.UINT8, ["n", INPUT_FRAMES + TARGET_FRAMES, FRAME_BINS])],
        [
            helper.make_tensor_value_info("error_db", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("predicted", TensorProto.FLOAT, ["n", TARGET_FRAMES, FRAME_BINS]),
        ],
        [*constants, *external],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _external(name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=name)
    return tensor


def expected_errors_db(windows: NDArray[np.uint8], *, scale: float, bias: float) -> NDArray[np.float64]:
    """Return the errors of the tiny model by the textbook: half the root of the mean squared difference in codes."""
    levels = windows.astype(np.float64)
    predicted = scale * levels[:, :INPUT_FRAMES].mean(axis=1, keepdims=True) + bias
    errors_db: NDArray[np.float64] = 0.5 * np.sqrt(((predicted - levels[:, INPUT_FRAMES:]) ** 2).mean(axis=(1, 2)))
    return errors_db


@dataclass(frozen=True)
class Publisher:
    """Releases tiny models of one band through a coordinator."""

    coordinator: FakeCoordinator
    key: SigningKey
    band: str
    cell: str | None

    def manifest(
        self, serial: int, *, scale: float = 1.0, bias: float = 0.0, threshold_db: float = 30.0, off_db: float = 0.0
    ) -> Manifest:
        """Return a manifest whose blobs the coordinator holds; `off_db` falsifies the golden errors."""
        tensors = {
            "scale": np.array([scale], dtype="<f4"),
            "bias": np.full((TARGET_FRAMES, FRAME_BINS), bias, dtype="<f4"),
        }
        golden_db = expected_errors_db(golden_windows(GOLDEN), scale=scale, bias=bias) + off_db
        content = ModelContent(
            family="tiny",
            graph=self.coordinator.add_blob(tiny_graph()),
            tensors=tuple(
                TensorEntry(name=name, shape=values.shape, blob=self.coordinator.add_blob(values.tobytes()))
                for name, values in tensors.items()
            ),
            frozen_layers=1,
            error=ErrorStatistics(mean_db=3.0, deviation_db=0.3, windows=100),
            thresholds=(
                Threshold(false_alarm_rate=0.001, gaussian_db=threshold_db + 2, empirical_db=threshold_db + 3),
                Threshold(false_alarm_rate=0.01, gaussian_db=threshold_db + 1, empirical_db=threshold_db),
            ),
            golden_errors_db=tuple(golden_db.tolist()),
        )
        return Manifest(
            serial=serial,
            model=f"models/m{serial}",
            band=self.band,
            cell=self.cell,
            parent=None,
            run="runs/r1",
            content=content,
            created_at=datetime.now(UTC),
        )

    def seal(self, manifest: Manifest, *, serial: int | None = None) -> AssignedRelease:
        """Sign a manifest and return the release to assign; `serial` says another number than the manifest."""
        envelope: BlobReference = self.coordinator.add_blob(self.key.seal(manifest.to_bytes()))
        return AssignedRelease(serial=manifest.serial if serial is None else serial, manifest=envelope)
