"""The only file of the worker that speaks gRPC: runs, segments and models as plain values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, Self, TypeVar

import numpy as np
import numpy.typing as npt
import stamina

from bandwatch.artifacts.blobs import CHUNK_BYTES, BlobStore
from bandwatch.artifacts.manifest import BlobReference, ModelContent
from bandwatch.errors import CorruptError, UnavailableError
from bandwatch.identity.identity_files import Identity, load_identity
from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.wire.channel import CALL_DEADLINE_S, member_credentials, open_blocking_channel
from bandwatch.wire.content import content_from_message, content_to_message
from bandwatch.wire.convert import to_duration_message, to_span
from bandwatch.wire.enrollment import renewal_request, renewed_identity
from bandwatch.wire.status import bandwatch_errors
from bandwatch.wire.v1 import model_pb2, training_service_pb2
from bandwatch.wire.v1.enrollment_service_pb2_grpc import EnrollmentServiceStub
from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceStub

if TYPE_CHECKING:
    import grpc

TRANSFER_DEADLINE_S: Final = 300.0
"""Deadline of one blob."""

Parameters = ParamSpec("Parameters")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Lease:
    """A claim on a run: its name, and the number that only the newest claimant holds."""

    run: str
    fence: int


@dataclass(frozen=True)
class TeacherOrder:
    """Build a teacher; an empty family and no layers stand for the usual ones."""

    family: str
    layers: int
    max_epochs: int
    stride_frames: int


@dataclass(frozen=True)
class StudentOrder:
    """Make a student from the best of these teachers, of the best of these families, or of any when none is named."""

    teachers: tuple[str, ...]
    families: tuple[str, ...]
    frozen_layers: int
    max_epochs: int
    stride_frames: int


@dataclass(frozen=True)
class ClaimedRun:
    """A run that this worker owns until its lease runs out."""

    lease: Lease
    lease_duration: timedelta
    order: TeacherOrder | StudentOrder
    seed: int


def _retried(call: Callable[Parameters, ResultT]) -> Callable[Parameters, ResultT]:
    """Try again for two minutes while the coordinator is away: every call of the service may be repeated."""
    return stamina.retry(on=UnavailableError, attempts=None, timeout=120.0, wait_initial=0.2, wait_max=5.0)(call)


class TrainingClient:
    """Talks to the coordinator's TrainingService. Used as a context manager."""

    def __init__(self, identity: Identity, cache: BlobStore, target: str | None = None) -> None:
        self._target = target or identity.address
        self._channels: list[grpc.Channel] = []
        self._cache = cache
        self.go_on_as(identity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for channel in self._channels:
            channel.close()

    def go_on_as(self, identity: Identity) -> None:
        """Make calls by this identity from now on; calls under way end on their old connection."""
        self.identity = identity
        self._channels.append(open_blocking_channel(self._target, member_credentials(identity)))
        self._service = TrainingServiceStub(self._channels[-1])

    def ask_for_renewal(self) -> Identity:
        """Return the same identity with a new certificate, which is not used yet."""
        with bandwatch_errors():
            stub = EnrollmentServiceStub(self._channels[-1])
            answer = stub.RenewCertificate(renewal_request(self.identity), timeout=CALL_DEADLINE_S)
        return renewed_identity(self.identity, answer)

    @_retried
    def claim(self, run: str) -> ClaimedRun:
        """Take a lease on a run.

        Raises:
            FailedPreconditionError: Another worker holds it, or it has ended.
            NotFoundError: There is no such run.
            UnavailableError: The coordinator stayed away for two minutes.
        """
        request = training_service_pb2.ClaimRunRequest(run=run)
        with bandwatch_errors():
            response = self._service.ClaimRun(request, timeout=CALL_DEADLINE_S)
        return ClaimedRun(
            lease=Lease(response.lease.run, response.lease.fence),
            lease_duration=to_span(response.lease_duration),
            order=_order(response.run),
            seed=response.run.seed,
        )

    def segments(self, lease: Lease) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the codes uint8 [frames, 128] of every segment of a run, from the cache where it has them.

        Raises:
            ConflictError: The lease was lost.
            CorruptError: A segment is not what it was when it was stored.
        """
        token = ""
        while True:
            page = self._segment_page(lease, token)
            for segment in page.segments:
                size = segment.frame_count * FRAME_BINS
                content = self.blob(BlobReference(digest=segment.codes_digest, size_bytes=size))
                yield np.frombuffer(content, np.uint8).reshape(-1, FRAME_BINS)
            token = page.next_page_token
            if not token:
                return

    @_retried
    def _segment_page(self, lease: Lease, token: str) -> training_service_pb2.ListRunSegmentsResponse:
        request = training_service_pb2.ListRunSegmentsRequest(lease=_lease_message(lease), page_token=token)
        with bandwatch_errors():
            return self._service.ListRunSegments(request, timeout=CALL_DEADLINE_S)

    @_retried
    def content(self, model: str) -> ModelContent:
        """Return what a model is made of.

        Raises:
            NotFoundError: There is no such model.
        """
        request = training_service_pb2.ReadModelRequest(name=model)
        with bandwatch_errors():
            return content_from_message(self._service.ReadModel(request, timeout=CALL_DEADLINE_S).model.content)

    @_retried
    def blob(self, reference: BlobReference) -> bytes:
        """Return a blob, fetching what the cache lacks.

        Raises:
            NotFoundError: The coordinator does not hold it.
            CorruptError: It arrived changed.
        """
        if self._cache.contains(reference.digest):
            try:
                return self._cache.read(reference.digest)
            except CorruptError:
                self._cache.remove(reference.digest)
        content = bytearray()
        with bandwatch_errors():
            request = training_service_pb2.ReadBlobRequest(digest=reference.digest)
            for part in self._service.ReadBlob(request, timeout=TRANSFER_DEADLINE_S):
                content += part.chunk
                if len(content) > reference.size_bytes:
                    break
        self._cache.write_verified(bytes(content), reference)
        return bytes(content)

    @_retried
    def store(self, content: bytes) -> BlobReference:
        """Store a part of a model and return its reference."""
        reference = self._cache.write(content)
        with bandwatch_errors():
            self._service.WriteBlob(_blob_parts(reference, content), timeout=TRANSFER_DEADLINE_S)
        return reference

    @_retried
    def report(
        self, lease: Lease, stage: str, share: float, validation_error_db: float | None, elapsed: timedelta
    ) -> None:
        """Tell of progress and renew the lease.

        Raises:
            ConflictError: The lease was lost.
        """
        progress = model_pb2.TrainingProgress(
            stage=stage, share=share, validation_error_db=validation_error_db, elapsed=to_duration_message(elapsed)
        )
        request = training_service_pb2.ReportProgressRequest(lease=_lease_message(lease), progress=progress)
        with bandwatch_errors():
            self._service.ReportProgress(request, timeout=CALL_DEADLINE_S)

    def renew(self, lease: Lease) -> None:
        """Renew a lease, once.

        Raises:
            ConflictError: The lease was lost.
            UnavailableError: The coordinator is away.
        """
        with bandwatch_errors():
            self._service.ReportProgress(
                training_service_pb2.ReportProgressRequest(lease=_lease_message(lease)), timeout=CALL_DEADLINE_S
            )

    @_retried
    def import_model(self, band: str, content: ModelContent) -> str:
        """Register a model of a band that no run made, and return its name.

        Raises:
            NotFoundError: There is no such band.
            FailedPreconditionError: A part of the model was not stored.
        """
        request = training_service_pb2.ImportModelRequest(band=band, content=content_to_message(content))
        with bandwatch_errors():
            return self._service.ImportModel(request, timeout=CALL_DEADLINE_S).model.name

    @_retried
    def finish(self, lease: Lease, content: ModelContent, parent: str | None) -> str:
        """Register the run's model, with the teacher that it started from, if any, and return its name.

        Raises:
            ConflictError: The lease was lost.
            InvalidArgumentError: The run was not ordered with that teacher, or the content cannot be.
        """
        request = training_service_pb2.FinishRunRequest(
            lease=_lease_message(lease), content=content_to_message(content), parent=parent or ""
        )
        with bandwatch_errors():
            return self._service.FinishRun(request, timeout=CALL_DEADLINE_S).model.name

    @_retried
    def fail(self, lease: Lease, error: str, *, retryable: bool, interrupted: bool) -> None:
        """Give a run back with what went wrong; an attempt that was only interrupted does not count.

        Raises:
            ConflictError: The lease was lost.
        """
        request = training_service_pb2.FailRunRequest(
            lease=_lease_message(lease), error=error, retryable=retryable, interrupted=interrupted
        )
        with bandwatch_errors():
            self._service.FailRun(request, timeout=CALL_DEADLINE_S)


def open_client(identity_folder: Path, data_dir: Path, target: str | None = None) -> TrainingClient:
    """Return a client of the coordinator that a worker enrolled with; segments that were fetched stay in its folder.

    Raises:
        NotFoundError: The worker is not enrolled.
    """
    identity = load_identity(identity_folder, "enrol the worker with `bandwatch-worker enroll` and a join token")
    return TrainingClient(identity, BlobStore(data_dir / "blobs"), target)


def _lease_message(lease: Lease) -> training_service_pb2.Lease:
    return training_service_pb2.Lease(run=lease.run, fence=lease.fence)


def _order(run: model_pb2.TrainingRun) -> TeacherOrder | StudentOrder:
    if run.WhichOneof("spec") == "teacher":
        return TeacherOrder(
            family=run.teacher.family,
            layers=run.teacher.layers,
            max_epochs=run.teacher.max_epochs,
            stride_frames=run.teacher.stride_frames,
        )
    return StudentOrder(
        teachers=tuple(run.student.teachers),
        families=tuple(run.student.families),
        frozen_layers=run.student.frozen_layers,
        max_epochs=run.student.max_epochs,
        stride_frames=run.student.stride_frames,
    )


def _blob_parts(reference: BlobReference, content: bytes) -> Iterator[training_service_pb2.WriteBlobRequest]:
    yield training_service_pb2.WriteBlobRequest(
        reference=model_pb2.BlobReference(digest=reference.digest, size_bytes=reference.size_bytes)
    )
    for start in range(0, len(content), CHUNK_BYTES):
        yield training_service_pb2.WriteBlobRequest(chunk=content[start : start + CHUNK_BYTES])
