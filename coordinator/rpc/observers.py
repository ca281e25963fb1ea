"""ObserverService: message in, service call, message out."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.json_format import MessageToDict

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1 import observer_service_pb2_grpc
from bandwatch.wire.v1.spectrum_pb2 import Origin
from coordinator.notices import Notices, set_within
from coordinator.registry.session import Registry
from coordinator.rpc.blobs import blob_chunks
from coordinator.rpc.edge import Context
from coordinator.rpc.identity import current_caller
from coordinator.rpc.messages import desired_message, new_anomaly, new_segment
from coordinator.rpc.pipeline import in_batches
from coordinator.rpc.turnstile import Turnstile
from coordinator.rpc.validation import first_problem
from coordinator.services import anomalies, observers, segments
from coordinator.services.refusals import Refused

RECHECK_S = 30.0
"""A watch looks at the registry this often by itself, so that a lost hint costs a delay and no more."""
SEGMENTS_IN_WORK = 8
"""Segments of one stream whose blobs are being made durable at the same time."""


@dataclass(frozen=True)
class ObserverLimits:
    """What one observer may ask of the coordinator."""

    clock_lead: timedelta
    upload_credit_bytes: int
    poll: timedelta


class ObserverServicer(observer_service_pb2_grpc.ObserverServiceServicer):
    """Serves agents."""

    def __init__(
        self,
        registry: Registry,
        notices: Notices,
        *,
        segment_blobs: BlobStore,
        model_blobs: BlobStore,
        limits: ObserverLimits,
        stopping: asyncio.Event,
    ) -> None:
        self._registry = registry
        self._notices = notices
        self._segment_blobs = segment_blobs
        self._model_blobs = model_blobs
        self._limits = limits
        self._stopping = stopping
        self._turnstile = Turnstile()

    async def Sync(self, request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
        """Record the reported state and return the desired one."""
        reported = MessageToDict(request.state, preserving_proto_field_name=True)
        async with self._registry.transaction() as session:
            desired = await observers.sync(session, current_caller.get().observer_id, reported)
        return pb.SyncResponse(
            desired=desired_message(desired),
            upload_credit_bytes=self._limits.upload_credit_bytes,
            next_poll=to_duration_message(self._limits.poll),
        )

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        """Say each new revision until the caller or the coordinator goes."""
        observer_id = current_caller.get().observer_id
        known = request.known_revision
        with self._turnstile.entered(observer_id, "Watch"), self._notices.watching(observer_id) as changed:
            while not self._stopping.is_set():
                changed.clear()
                async with self._registry.transaction() as session:
                    revision = await observers.revision_of(session, observer_id)
                if revision is None:
                    raise NotFoundError("this observer is not registered any more")
                if revision != known:
                    known = revision
                    yield pb.WatchResponse(revision=revision)
                await set_within(changed, RECHECK_S)

    async def UploadSegments(
        self, request_iterator: AsyncIterator[pb.UploadSegmentsRequest], context: Context
    ) -> AsyncIterator[pb.UploadSegmentsResponse]:
        """Answer each segment alone, in order, once it is durable or refused."""
        with self._turnstile.entered(current_caller.get().observer_id, "UploadSegments"):
            async for batch in in_batches(request_iterator, self._admit, SEGMENTS_IN_WORK):
                for response in await self._store(batch):
                    yield response

    async def _admit(self, request: pb.UploadSegmentsRequest) -> tuple[Origin, segments.Admitted | Refused]:
        problem = first_problem(request)
        if problem is None and not request.HasField("segment"):
            problem = "segment: value is required"
        if problem is not None:
            return request.segment.origin, Refused(InvalidArgumentError.code, problem)
        admitted = await segments.admit(
            self._segment_blobs,
            new_segment(request.segment),
            request.codes,
            caller_id=current_caller.get().observer_id,
            clock_lead=self._limits.clock_lead,
        )
        return request.segment.origin, admitted

    async def _store(self, batch: list[tuple[Origin, segments.Admitted | Refused]]) -> list[pb.UploadSegmentsResponse]:
        admitted = [outcome.segment for _, outcome in batch if isinstance(outcome, segments.Admitted)]
        stored: list[segments.Stored | Refused] = []
        if admitted:
            async with self._registry.transaction() as session:
                stored = await segments.store(session, admitted)
        answers = iter(stored)
        return [
            _upload_response(origin, next(answers) if isinstance(outcome, segments.Admitted) else outcome)
            for origin, outcome in batch
        ]

    async def FetchBlob(self, request: pb.FetchBlobRequest, context: Context) -> AsyncIterator[pb.FetchBlobResponse]:
        """Stream a manifest, graph or tensor."""
        with self._turnstile.entered(current_caller.get().observer_id, "FetchBlob"):
            async for chunk in blob_chunks(self._model_blobs, request.digest, request.offset):
                yield pb.FetchBlobResponse(chunk=chunk)

    async def ReportAnomalies(self, request: pb.ReportAnomaliesRequest, context: Context) -> pb.ReportAnomaliesResponse:
        """Record anomalies and answer each alone."""
        observer_id = current_caller.get().observer_id
        problems = [first_problem(anomaly) for anomaly in request.anomalies]
        sound = [
            new_anomaly(anomaly, observer_id)
            for anomaly, problem in zip(request.anomalies, problems, strict=True)
            if problem is None
        ]
        async with self._registry.transaction() as session:
            answers = iter(await anomalies.record(session, sound, clock_lead=self._limits.clock_lead))
        refusals = [
            next(answers) if problem is None else Refused(InvalidArgumentError.code, problem) for problem in problems
        ]
        return pb.ReportAnomaliesResponse(
            outcomes=[
                pb.AnomalyOutcome(
                    origin=anomaly.origin,
                    accepted=refusal is None,
                    code=refusal.code if refusal else "",
                    reason=refusal.reason if refusal else "",
                )
                for anomaly, refusal in zip(request.anomalies, refusals, strict=True)
            ]
        )


def _upload_response(origin: Origin, outcome: segments.Stored | Refused) -> pb.UploadSegmentsResponse:
    if isinstance(outcome, Refused):
        return pb.UploadSegmentsResponse(
            origin=origin, outcome=pb.UPLOAD_OUTCOME_REFUSED, code=outcome.code, reason=outcome.reason
        )
    stored = pb.UPLOAD_OUTCOME_ALREADY_STORED if outcome.before else pb.UPLOAD_OUTCOME_STORED
    return pb.UploadSegmentsResponse(origin=origin, outcome=stored)
