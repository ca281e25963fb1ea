"""TrainingService: message in, service call, message out."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

from bandwatch import names
from bandwatch.artifacts.blobs import Blobs
from bandwatch.artifacts.manifest import BlobReference, ModelContent
from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from bandwatch.wire.content import content_from_message
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import training_service_pb2 as pb
from bandwatch.wire.v1 import training_service_pb2_grpc
from coordinator.registry.callers import current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.blobs import blob_chunks
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.models import model_message, release_message
from coordinator.rpc.messages.runs import progress_json, run_message
from coordinator.rpc.messages.segments import segment_message
from coordinator.rpc.messages.words import optional_id
from coordinator.services.paging import PageRequest
from coordinator.services.releasing import models, releases, rollouts
from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.training import runs


class TrainingServicer(training_service_pb2_grpc.TrainingServiceServicer):
    """Serves training workers."""

    def __init__(
        self,
        registry: Registry,
        publisher: Publisher,
        *,
        segment_blobs: Blobs,
        lease: timedelta,
        attempts: int,
        rules: rollouts.Rules,
    ) -> None:
        self._registry = registry
        self._publisher = publisher
        self._segment_blobs = segment_blobs
        self._lease = lease
        self._attempts = attempts
        self._rules = rules

    async def ClaimRun(self, request: pb.ClaimRunRequest, context: Context) -> pb.ClaimRunResponse:
        """Lease a run to a worker."""
        run_id = names.runs.id(request.run)
        async with self._registry.transaction() as session:
            run = await runs.claim(
                session, run_id, current_caller.get().name, lease=self._lease, attempts=self._attempts
            )
        return pb.ClaimRunResponse(
            lease=pb.Lease(run=request.run, fence=run.fence),
            run=run_message(run),
            lease_duration=to_duration_message(self._lease),
        )

    async def ListRunSegments(self, request: pb.ListRunSegmentsRequest, context: Context) -> pb.ListRunSegmentsResponse:
        """List the run's frozen segments."""
        run_id = names.runs.id(request.lease.run)
        async with self._registry.transaction() as session:
            await runs.hold(session, _held(request.lease))
            page = await runs.list_segments(session, run_id, PageRequest(request.page_size, request.page_token))
        return pb.ListRunSegmentsResponse(
            segments=[segment_message(segment) for segment in page.entries], next_page_token=page.next_token
        )

    async def ReadModel(self, request: pb.ReadModelRequest, context: Context) -> pb.ReadModelResponse:
        """Return a model that a run may start from."""
        async with self._registry.transaction() as session:
            model = await models.get(session, names.models.id(request.name))
        return pb.ReadModelResponse(model=model_message(model))

    async def ReadBlob(self, request: pb.ReadBlobRequest, context: Context) -> AsyncIterator[pb.ReadBlobResponse]:
        """Stream the codes of a segment, or a part of a model."""
        held = await asyncio.to_thread(self._segment_blobs.contains, request.digest)
        store = self._segment_blobs if held else self._publisher.blobs
        async for chunk in blob_chunks(store, request.digest, request.offset):
            yield pb.ReadBlobResponse(chunk=chunk)

    async def WriteBlob(
        self, request_iterator: AsyncIterator[pb.WriteBlobRequest], context: Context
    ) -> pb.WriteBlobResponse:
        """Store a part of a model."""
        first = await anext(aiter(request_iterator), None)
        if first is None or first.WhichOneof("part") != "reference":
            raise InvalidArgumentError("the first message must carry the blob's reference")
        reference = BlobReference(digest=first.reference.digest, size_bytes=first.reference.size_bytes)
        if await asyncio.to_thread(self._publisher.blobs.contains, reference.digest):
            return pb.WriteBlobResponse(already_stored=True)
        content = bytearray()
        async for part in request_iterator:
            content += part.chunk
            if len(content) > reference.size_bytes:
                raise InvalidArgumentError(f"more than the promised {reference.size_bytes} bytes arrived")
        await asyncio.to_thread(self._publisher.blobs.write_verified, bytes(content), reference)
        return pb.WriteBlobResponse(already_stored=False)

    async def ReportProgress(self, request: pb.ReportProgressRequest, context: Context) -> pb.ReportProgressResponse:
        """Renew the lease and keep the progress."""
        progress = progress_json(request.progress)
        async with self._registry.transaction() as session:
            await runs.report(
                session,
                _held(request.lease),
                progress if request.HasField("progress") else None,
                lease=self._lease,
            )
        return pb.ReportProgressResponse(lease_duration=to_duration_message(self._lease))

    async def FinishRun(self, request: pb.FinishRunRequest, context: Context) -> pb.FinishRunResponse:
        """Register the model and, if the run says so, release it, unless it is a student no better than its parent."""
        content = content_from_message(request.content)
        await asyncio.to_thread(self._require_blobs, content)
        held = _held(request.lease)
        response = pb.FinishRunResponse()
        async with self._registry.transaction() as session:
            parent_id = optional_id(names.models, request.parent)
            model = await runs.finish(session, held, content, parent_id=parent_id)
            run = await runs.get(session, held.run_id)
            if run.release_on_success and model.trained_content.beats_parent:
                released = await releases.current_of(session, model.id)
                if released is None:
                    plan = RolloutPlan.from_json(run.plan) if run.plan else None
                    changed = await rollouts.start(session, self._publisher, model.id, plan, self._rules)
                    released = changed.release
                    run.release_serial = released.serial
                response.release.CopyFrom(release_message(released))
            response.model.CopyFrom(model_message(model))
        return response

    async def ImportModel(self, request: pb.ImportModelRequest, context: Context) -> pb.ImportModelResponse:
        """Register a model that no run made."""
        content = content_from_message(request.content)
        await asyncio.to_thread(self._require_blobs, content)
        async with self._registry.transaction() as session:
            model = await models.import_model(session, names.bands.id(request.band), content)
        return pb.ImportModelResponse(model=model_message(model))

    def _require_blobs(self, content: ModelContent) -> None:
        missing = [blob.digest for blob in content.blobs() if not self._publisher.blobs.contains(blob.digest)]
        if missing:
            raise FailedPreconditionError(f"blob {missing[0]} was not stored; call WriteBlob first")

    async def FailRun(self, request: pb.FailRunRequest, context: Context) -> pb.FailRunResponse:
        """Take a run back with what went wrong."""
        async with self._registry.transaction() as session:
            run = await runs.fail(
                session,
                _held(request.lease),
                request.error,
                retryable=request.retryable,
                interrupted=request.interrupted,
                attempts=self._attempts,
            )
        return pb.FailRunResponse(run=run_message(run))


def _held(lease: pb.Lease) -> runs.Lease:
    return runs.Lease(names.runs.id(lease.run), lease.fence, current_caller.get().name)
