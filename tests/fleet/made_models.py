"""Models that nobody trained: a registered one with another dense layer, as a lying worker would hand in."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import ModelContent, TensorEntry
from infra.local.stack import LocalStack

DENSE: Final = ("dense.weight", "dense.bias")


@dataclass(frozen=True)
class Forge:
    """Registers models in the database and the store of a platform that runs."""

    stack: LocalStack

    @property
    def blobs(self) -> BlobStore:
        """Where models lie."""
        return BlobStore(self.stack.data_dir / "blobs" / "models")

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """Open the platform's database."""
        url = self.stack.process("coordinator").program.environment["BANDWATCH_COORDINATOR_DATABASE_URL"]
        return psycopg.connect(url)

    def student(self, name: str, teacher: ModelContent, *, cell: str, noise: float) -> str:
        """Register a student of a teacher whose dense layer has noise on it, in units of its own deviation."""
        random = np.random.default_rng(len(name))
        weights = {entry.name: self._weights(entry) for entry in teacher.tensors}
        for tensor in DENSE:
            spread = noise * max(float(weights[tensor].std()), 1e-3)
            weights[tensor] = (weights[tensor] + spread * random.standard_normal(weights[tensor].shape)).astype("<f4")
        tensors = tuple(
            TensorEntry(name=entry.name, shape=entry.shape, blob=self.blobs.write(weights[entry.name].tobytes()))
            for entry in teacher.tensors
        )
        golden_db = self._golden_errors_db(teacher, weights)
        content = teacher.model_copy(
            update={"tensors": tensors, "golden_errors_db": tuple(golden_db), "parent_error": teacher.error}
        )
        with self.connect() as connection:
            connection.execute(
                "INSERT INTO models (id, band_id, cell_id, content) VALUES (%s, 'north', %s, %s)",
                (name, cell, Jsonb(content.model_dump(mode="json"))),
            )
        return f"models/{name}"

    def _weights(self, entry: TensorEntry) -> NDArray[np.float32]:
        values = np.frombuffer(self.blobs.read(entry.blob.digest), "<f4").reshape(entry.shape)
        return values.astype("<f4")

    def _golden_errors_db(self, content: ModelContent, weights: dict[str, NDArray[np.float32]]) -> list[float]:
        """Return what onnxruntime says of the golden windows: the model is wrong, but it is what its manifest says."""
        options = onnxruntime.SessionOptions()
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array.copy()) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
        session = onnxruntime.InferenceSession(self.blobs.read(content.graph.digest), options)
        windows = golden_windows(len(content.golden_errors_db))
        (errors,) = session.run(["error_db"], {"codes": windows})
        return [float(error) for error in errors]
