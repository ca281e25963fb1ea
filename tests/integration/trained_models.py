"""Model content as an honest worker would publish it."""

from typing import TYPE_CHECKING

import numpy as np

from bandwatch.artifacts.blobs import digest_of
from bandwatch.wire.v1.model_pb2 import (
    BlobReference,
    Candidate,
    ErrorStatistics,
    ModelContent,
    ScoreTable,
    Tensor,
    Threshold,
)
from bandwatch.wire.v1.training_service_pb2 import WriteBlobRequest

if TYPE_CHECKING:  # this name exists in the stubs only
    from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceAsyncStub

GRAPH = b"a graph that the coordinator never opens"


def tensor_bytes(seed: int) -> bytes:
    """Return the weights of a small model."""
    return np.random.default_rng(seed).normal(size=100).astype("<f4").tobytes()


def _reference(content: bytes) -> BlobReference:
    return BlobReference(digest=digest_of(content), size_bytes=len(content))


def statistics(mean_db: float) -> ErrorStatistics:
    """Return errors with that mean."""
    return ErrorStatistics(mean_db=mean_db, deviation_db=0.2, windows=100)


def content(seed: int = 1, *, error_db: float = 2.5, parent_error_db: float | None = None) -> ModelContent:
    """Return what a run made, with the error of the parent where it started from one."""
    weights = _reference(tensor_bytes(seed))
    thresholds = [Threshold(false_alarm_rate=0.01, gaussian=3.0, empirical=3.1, bound=3.2)]
    return ModelContent(
        family="lstm-predictor",
        graph=_reference(GRAPH),
        tensors=[Tensor(name="dense.weight", shape=[10, 10], blob=weights)],
        frozen_layers=2,
        error=statistics(error_db),
        scores=[
            ScoreTable(score="error", log_mean=0.9, log_deviation=0.1, thresholds=thresholds),
            ScoreTable(score="combined", log_mean=0.0, log_deviation=1.0, thresholds=thresholds),
        ],
        default_score="combined",
        golden_errors_db=[1.0, 2.0],
        parent_error=None if parent_error_db is None else statistics(parent_error_db),
        candidates=[Candidate(family="linear", error=statistics(2.6))],
        choice="the least error",
    )


async def store_blobs(service: "TrainingServiceAsyncStub", seed: int = 1) -> None:
    """Store the blobs that `content` refers to."""
    for blob in (GRAPH, tensor_bytes(seed)):
        parts = [WriteBlobRequest(reference=_reference(blob)), WriteBlobRequest(chunk=blob)]
        await service.WriteBlob(iter(parts))
