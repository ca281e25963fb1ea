"""Real ONNX models of a few lines, and releases of them."""

from collections.abc import Callable
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
    ScoreTable,
    TensorEntry,
    Threshold,
)
from bandwatch.spectrogram.bands import FRAME_BINS, INPUT_FRAMES, TARGET_FRAMES
from observer_agent.models.desired import AssignedRelease
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.release_repository import ReleaseRepository

GOLDEN = 4
BANDS = 4


def tiny_graph(*, every_score: bool = False) -> bytes:
    """Return a graph that predicts `scale` times the mean of the input frames, plus `bias`; both are external.

    With `every_score` it also gives the residual's mean over the target frames: its root mean square as `whitened`, and
    its mean in four bands of 32 bins as `bands`. Without, it is of the kind that knows the error only.
    """
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
    outputs = [
        helper.make_tensor_value_info("error_db", TensorProto.FLOAT, ["n"]),
        helper.make_tensor_value_info("predicted", TensorProto.FLOAT, ["n", TARGET_FRAMES, FRAME_BINS]),
    ]
    if every_score:
        constants += [
            numpy_helper.from_array(np.array([0, BANDS, FRAME_BINS // BANDS]), "in_bands"),
            numpy_helper.from_array(np.array([2]), "last"),
        ]
        nodes += [
            helper.make_node("ReduceMean", ["difference", "time"], ["residual"], keepdims=0),
            helper.make_node("Mul", ["residual", "residual"], ["residual_squares"]),
            helper.make_node("ReduceMean", ["residual_squares", "time"], ["residual_power"], keepdims=0),
            helper.make_node("Sqrt", ["residual_power"], ["whitened"]),
            helper.make_node("Reshape", ["residual", "in_bands"], ["banded"]),
            helper.make_node("ReduceMean", ["banded", "last"], ["bands"], keepdims=0),
        ]
        outputs += [
            helper.make_tensor_value_info("whitened", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("bands", TensorProto.FLOAT, ["n", BANDS]),
        ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("codes", TensorProto.UINT8, ["n", INPUT_FRAMES + TARGET_FRAMES, FRAME_BINS])],
        outputs,
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


def expected_residuals(windows: NDArray[np.uint8], *, scale: float, bias: float) -> NDArray[np.float64]:
    """Return the residual of the tiny model in codes, predicted less measured, its mean in each bin [n, 128]."""
    levels = windows.astype(np.float64)
    predicted = scale * levels[:, :INPUT_FRAMES].mean(axis=1) + bias
    residuals: NDArray[np.float64] = predicted - levels[:, INPUT_FRAMES:].mean(axis=1)
    return residuals


def score_table(
    score: str, threshold: float = 30.0, *, log_mean: float = 0.0, log_deviation: float = 1.0
) -> ScoreTable:
    """Return a table with that bound for a false-alarm rate of 0.01, and larger thresholds by the other methods."""
    return ScoreTable.model_validate(
        {
            "score": score,
            "log_mean": log_mean,
            "log_deviation": log_deviation,
            "thresholds": [
                Threshold(false_alarm_rate=rate, bound=at, empirical=at + 1, gaussian=at + 2)
                for rate, at in ((0.001, threshold + 10), (0.01, threshold))
            ],
        }
    )


def tiny_content(
    add_blob: Callable[[bytes], BlobReference],
    *,
    scale: float = 1.0,
    bias: float = 0.0,
    off_db: float = 0.0,
    tables: tuple[ScoreTable, ...] = (),
    every_score: bool = True,
) -> ModelContent:
    """Return what a run made whose outcome is a tiny model; its blobs go where they are to be held."""
    tables = tables or (score_table("error"),)
    tensors = {
        "scale": np.array([scale], dtype="<f4"),
        "bias": np.full((TARGET_FRAMES, FRAME_BINS), bias, dtype="<f4"),
    }
    golden_db = expected_errors_db(golden_windows(GOLDEN), scale=scale, bias=bias) + off_db
    return ModelContent(
        family="tiny",
        graph=add_blob(tiny_graph(every_score=every_score)),
        tensors=tuple(
            TensorEntry(name=name, shape=values.shape, blob=add_blob(values.tobytes()))
            for name, values in tensors.items()
        ),
        frozen_layers=1,
        error=ErrorStatistics(mean_db=3.0, deviation_db=0.3, windows=100),
        scores=tables,
        default_score=tables[0].score,
        golden_errors_db=tuple(golden_db.tolist()),
    )


@dataclass(frozen=True)
class Publisher:
    """Releases tiny models of one band through a coordinator."""

    coordinator: FakeCoordinator
    repository: ReleaseRepository
    band: str
    cell: str | None

    def manifest(
        self,
        serial: int,
        *,
        scale: float = 1.0,
        bias: float = 0.0,
        threshold_db: float = 30.0,
        off_db: float = 0.0,
        tables: tuple[ScoreTable, ...] = (),
        every_score: bool = True,
    ) -> Manifest:
        """Return a manifest whose blobs the coordinator holds; `off_db` falsifies the golden errors.

        Without tables it is calibrated for the error at `threshold_db`; else its first table is that of its default.
        """
        content = tiny_content(
            self.coordinator.add_blob,
            scale=scale,
            bias=bias,
            off_db=off_db,
            tables=tables or (score_table("error", threshold_db),),
            every_score=every_score,
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
        """Sign for a manifest and return the release to assign; `serial` says another number than the manifest."""
        return self.seal_bytes(manifest.serial if serial is None else serial, manifest.to_bytes())

    def seal_bytes(self, serial: int, content: bytes) -> AssignedRelease:
        """Sign for what may be no manifest."""
        blob: BlobReference = self.coordinator.add_blob(content)
        self.repository.name(serial, content)
        return AssignedRelease(serial=serial, manifest=blob)
