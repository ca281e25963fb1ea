"""Model content as an honest worker would publish it."""

from typing import TYPE_CHECKING

import numpy as np

from bandwatch.artifacts.blobs import digest_of
from bandwatch.wire.v1.model_pb2 import BlobReference, ErrorStatistics, ModelContent, Tensor, Threshold
from bandwatch.wire.v1.training_service_pb2 import WriteBlobRequest

if TYPE_CHECKING:  # this name exists in the stubs only
    from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceAsyncStub

GRAPH = b"a graph that the coordinator never opens"


def tensor_bytes(seed: int) -> bytes:
    """Return the weights of a small model."""
    return np.random.default_rng(seed).normal(size=100).astype("<f4").tobytes()


def _reference(content: bytes) -> BlobReference:
    return BlobReference(digest=digest_of(content), size_bytes=len(content))


def content(seed: int = 1) -> ModelContent:
    """Return what a run made."""
    weights = _reference(tensor_bytes(seed))
    return ModelContent(
        family="lstm-predictor",
        graph=_reference(GRAPH),
        tensors=[Tensor(name="dense.weight", shape=[10, 10], blob=weights)],
        frozen_layers=2,
        error=ErrorStatistics(mean_db=2.5, deviation_db=0.2, windows=100),
        thresholds=[Threshold(false_alarm_rate=0.01, gaussian_db=3.0, empirical_db=3.1)],
        golden_errors_db=[1.0, 2.0],
    )


async def store_blobs(service: "TrainingServiceAsyncStub", seed: int = 1) -> None:
    """Store the blobs that `content` refers to."""
    for blob in (GRAPH, tensor_bytes(seed)):
        parts = [WriteBlobRequest(reference=_reference(blob)), WriteBlobRequest(chunk=blob)]
        await service.WriteBlob(iter(parts))
