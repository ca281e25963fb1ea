"""ObserverService: message in, service call, message out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict

from bandwatch.artifacts.blobs import Blobs
from bandwatch.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from bandwatch.identity.keyring import Keyring
from bandwatch.wire.convert import to_duration_message, to_timestamp
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1 import observer_service_pb2_grpc
from bandwatch.wire.v1.spectrum_pb2 import CODES_ENCODING_ZSTD, Anomaly, Origin
from coordinator.metrics import Metrics
from coordinator.notices import Notices, set_within
from coordinator.registry.callers import current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.blobs import blob_chunks
from coordinator.rpc.edge import Context
from coordinator.rpc.gathering import Gathering
from coordinator.rpc.messages.registries import desired_message
from coordinator.rpc.messages.segments import new_anomaly, new_segment
from coordinator.rpc.observer_events import EventLimits, EventsPart
from coordinator.rpc.observer_metadata import MetadataPart
from coordinator.rpc.observer_statistics import StatisticsPart
from coordinator.rpc.pipeline import in_batches
from coordinator.rpc.refusal_log import RefusalLog
from coordinator.rpc.reports import recorded
from coordinator.rpc.turnstile import Turnstile
from coordinator.rpc.validation import first_problem
from coordinator.services.detection import anomalies
from coordinator.services.detection.merges import MergeRules
from coordinator.services.fleet import observers
from coordinator.services.refusals import Refused
from coordinator.services.training import segments

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
    merging: MergeRules


class ObserverServicer(EventsPart, MetadataPart, StatisticsPart, observer_service_pb2_grpc.ObserverServiceServicer):
    """Serves agents."""

    def __init__(
        self,
        registry: Registry,
        notices: Notices,
        *,
        segment_blobs: Blobs,
        model_blobs: Blobs,
        limits: ObserverLimits,
        stopping: asyncio.Event,
        keyring: Callable[[], Keyring],
        refusals: RefusalLog,
        metrics: Metrics,
    ) -> None:
        self._registry = registry
        self._notices = notices
        self._segment_blobs = segment_blobs
        self._model_blobs = model_blobs
        self._limits = limits
        self._clock_lead = limits.clock_lead
        self._event_limits = EventLimits(limits.merging, limits.clock_lead)
        self._stopping = stopping
        self._keyring = keyring
        self._refusals = refusals
        self._metrics = metrics
        self._turnstile = Turnstile()
        self._reports = Gathering(self._sync_free)
        self._revisions = Gathering(self._look_at_revisions)

    async def Sync(self, request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
        """Record the reported state and return the desired one."""
        reported = MessageToDict(request.state, preserving_proto_field_name=True)
        observer_id = current_caller.get().observer_id
        desired = await self._reports.ask((observer_id, reported))
        if desired is None:
            async with self._registry.transaction() as session:
                desired = await observers.sync(session, observer_id, reported)
        return pb.SyncResponse(
            desired=desired_message(desired),
            upload_credit_bytes=self._limits.upload_credit_bytes,
            next_poll=to_duration_message(self._limits.poll),
            renew_certificate=request.authorities_digest not in ("", self._keyring().digest),
            answer_time=to_timestamp(datetime.now(UTC)),
        )

    async def _sync_free(self, reports: Sequence[tuple[str, dict[str, Any]]]) -> list[observers.DesiredState | None]:
        async with self._registry.transaction() as session:
            desired = await observers.sync_free(session, dict(reports))
        return [desired.get(observer_id) for observer_id, _ in reports]

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        """Say each new revision until the caller or the coordinator goes."""
        observer_id = current_caller.get().observer_id
        known = request.known_revision
        with self._turnstile.entered(observer_id, "Watch"), self._notices.watching(observer_id) as changed:
            while not self._stopping.is_set():
                changed.clear()
                revision = await self._revisions.ask(observer_id)
                if revision is None:
                    raise NotFoundError("this observer is not registered any more")
                if revision != known:
                    known = revision
                    yield pb.WatchResponse(revision=revision)
                await set_within(changed, RECHECK_S)

    async def _look_at_revisions(self, observer_ids: Sequence[str]) -> list[int | None]:
        async with self._registry.transaction() as session:
            found = await observers.revisions_of(session, observer_ids)
        return [found.get(observer_id) for observer_id in observer_ids]

    async def UploadSegments(
        self, request_iterator: AsyncIterator[pb.UploadSegmentsRequest], context: Context
    ) -> AsyncIterator[pb.UploadSegmentsResponse]:
        """Answer each segment alone, in order, once it is durable or refused."""
        with self._turnstile.entered(current_caller.get().observer_id, "UploadSegments"):
            async for batch in in_batches(request_iterator, self._admit, SEGMENTS_IN_WORK, self._stopping):
                for response in await self._store(batch):
                    yield response

    async def _admit(self, request: pb.UploadSegmentsRequest) -> tuple[Origin, segments.Admitted | Refused]:
        self._metrics.segment_bytes.inc(len(request.codes))
        problem = first_problem(request)
        if problem is None and not request.HasField("segment"):
            problem = "segment: value is required"
        if problem is not None:
            return request.segment.origin, Refused(InvalidArgumentError.code, problem)
        admitted = await segments.admit(
            self._segment_blobs,
            new_segment(request.segment),
            request.codes,
            packed=request.encoding == CODES_ENCODING_ZSTD,
            caller_id=current_caller.get().observer_id,
            clock_lead=self._limits.clock_lead,
        )
        if isinstance(admitted, Refused) and admitted.code == PermissionDeniedError.code:
            await self._refusals.note(current_caller.get(), admitted.code, admitted.reason)
        return request.segment.origin, admitted

    async def _store(self, batch: list[tuple[Origin, segments.Admitted | Refused]]) -> list[pb.UploadSegmentsResponse]:
        admitted = [outcome.segment for _, outcome in batch if isinstance(outcome, segments.Admitted)]
        stored: list[segments.Stored | Refused] = []
        if admitted:
            async with self._registry.transaction() as session:
                stored = await segments.store(session, admitted)
        answers = iter(stored)
        responses = [
            _upload_response(origin, next(answers) if isinstance(outcome, segments.Admitted) else outcome)
            for origin, outcome in batch
        ]
        for response in responses:
            outcome = response.code or pb.UploadOutcome.Name(response.outcome).removeprefix("UPLOAD_OUTCOME_").lower()
            self._metrics.segments.labels(outcome).inc()
        return responses

    async def FetchBlob(self, request: pb.FetchBlobRequest, context: Context) -> AsyncIterator[pb.FetchBlobResponse]:
        """Stream a manifest, graph or tensor."""
        with self._turnstile.entered(current_caller.get().observer_id, "FetchBlob"):
            async for chunk in blob_chunks(self._model_blobs, request.digest, request.offset):
                yield pb.FetchBlobResponse(chunk=chunk)

    async def ReportAnomalies(self, request: pb.ReportAnomaliesRequest, context: Context) -> pb.ReportAnomaliesResponse:
        """Record anomalies and answer each alone."""
        observer_id = current_caller.get().observer_id

        async def record(sound: list[Anomaly]) -> list[Refused | None]:
            found = [new_anomaly(anomaly, observer_id) for anomaly in sound]
            async with self._registry.transaction() as session:
                return await anomalies.record(session, found, clock_lead=self._limits.clock_lead)

        return pb.ReportAnomaliesResponse(outcomes=await recorded(request.anomalies, record))


def _upload_response(origin: Origin, outcome: segments.Stored | Refused) -> pb.UploadSegmentsResponse:
    if isinstance(outcome, Refused):
        return pb.UploadSegmentsResponse(
            origin=origin, outcome=pb.UPLOAD_OUTCOME_REFUSED, code=outcome.code, reason=outcome.reason
        )
    stored = pb.UPLOAD_OUTCOME_ALREADY_STORED if outcome.before else pb.UPLOAD_OUTCOME_STORED
    return pb.UploadSegmentsResponse(origin=origin, outcome=stored)
