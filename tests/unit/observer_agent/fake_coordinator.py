"""A small coordinator that keeps everything in memory: what tests of the agent talk to, over real gRPC."""

# ruff: noqa: N802, ARG002 - the contract names the methods and their arguments

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import grpc.aio

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.identity.certificates import write_bundle
from bandwatch.identity.requests import open_request
from bandwatch.wire.channel import SERVER_OPTIONS
from bandwatch.wire.codes import decompress_codes
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.status import ERROR_CODE
from bandwatch.wire.v1 import enrollment_service_pb2, incident_pb2, model_pb2, statistics_pb2
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1.enrollment_service_pb2_grpc import (
    EnrollmentServiceServicer,
    add_EnrollmentServiceServicer_to_server,
)
from bandwatch.wire.v1.observer_service_pb2_grpc import (
    ObserverServiceServicer,
    add_ObserverServiceServicer_to_server,
)
from bandwatch.wire.v1.spectrum_pb2 import CODES_ENCODING_ZSTD, Anomaly, Segment
from observer_agent.models.desired import AssignedRelease, CellAssignment, DesiredState
from tests.unit.trusted_server import KEYRING, trusted_server_credentials

Context = grpc.aio.ServicerContext[Any, Any]


def never(_: Segment) -> bool:
    """Refuse nothing."""
    return False


class FakeCoordinator(ObserverServiceServicer, EnrollmentServiceServicer):
    """Serves one observer. Attributes are its registry; a test changes them, then calls `changed`."""

    def __init__(self) -> None:
        self.desired: DesiredState | None = None
        self.credit_bytes = 8 << 20
        self.next_poll_s = 60.0
        self.clock_ahead: timedelta | None = timedelta(0)
        self.refuse_watches = False
        self.watched_at_s: list[float] = []
        self.reports: list[pb.ReportedState] = []
        self.blobs: dict[str, bytes] = {}
        self.fetched: Counter[str] = Counter()
        self.damage: Callable[[str, bytes], bytes] = lambda _, content: content
        self.break_fetch_after: list[int] = []
        self.fetch_offsets: list[int] = []
        self.metadata: dict[str, bytes] = {}
        self.metadata_fetched: list[tuple[str, int]] = []
        self.segments: dict[tuple[str, int], tuple[Segment, bytes]] = {}
        self.received: Counter[tuple[str, int]] = Counter()
        self.most_under_way = 0
        self.refuse: Callable[[Segment], bool] = never
        self.break_upload_after: list[int] = []
        self.anomalies: dict[tuple[str, int], Anomaly] = {}
        self.refuse_anomalies_of = ""
        self.events: list[incident_pb2.Event] = []
        self.statistics: dict[tuple[str, int], statistics_pb2.Statistics] = {}
        self.status: grpc.StatusCode | None = None
        self.wants_renewal = False
        self.renewals = 0
        self._answering = asyncio.Event()
        self._answering.set()
        self.port = 0
        self._news = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on a port, the same as before if one is given."""
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        add_ObserverServiceServicer_to_server(self, self._server)
        add_EnrollmentServiceServicer_to_server(self, self._server)
        credentials = trusted_server_credentials(members_only=True)
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Break every call and stop listening."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def changed(self) -> None:
        """Wake everybody who waits for something."""
        async with self._news:
            self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until calls have made a condition true."""
        async with asyncio.timeout(20), self._news:
            await self._news.wait_for(condition)

    def add_blob(self, content: bytes) -> BlobReference:
        """Hold a blob."""
        digest = hashlib.sha256(content).hexdigest()
        self.blobs[digest] = content
        return BlobReference(digest=digest, size_bytes=len(content))

    def hold_answers(self) -> asyncio.Event:
        """Take segments without answering until the event is set."""
        self._answering.clear()
        return self._answering

    def assign(self, release: AssignedRelease | None, **changes: Any) -> None:
        """Want another release, at the next revision; call `changed` to say so."""
        assert self.desired is not None
        update = {"release": release, "revision": self.desired.revision + 1, **changes}
        self.desired = self.desired.model_copy(update=update)

    async def Sync(self, request: pb.SyncRequest, context: Context) -> pb.SyncResponse:
        """Note the report and say what is desired."""
        if self.status is not None:
            await context.abort(self.status, "as the test wants")
        self.reports.append(request.state)
        await self.changed()
        response = pb.SyncResponse(upload_credit_bytes=self.credit_bytes, renew_certificate=self.wants_renewal)
        response.next_poll.FromMilliseconds(int(self.next_poll_s * 1000))
        if self.clock_ahead is not None:
            response.answer_time.FromDatetime(datetime.now(UTC) + self.clock_ahead)
        if self.desired is not None:
            response.desired.CopyFrom(_desired_message(self.desired))
        return response

    async def Enroll(
        self, request: enrollment_service_pb2.EnrollRequest, context: Context
    ) -> enrollment_service_pb2.EnrollResponse:
        """Let nobody in: the test's observer is a member already."""
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "this join token is unknown")

    async def RenewCertificate(
        self, request: enrollment_service_pb2.RenewCertificateRequest, context: Context
    ) -> enrollment_service_pb2.RenewCertificateResponse:
        """Sign another certificate, and want no other one."""
        key = open_request(request.certificate_request)
        self.wants_renewal = False
        self.renewals += 1
        certificate = KEYRING.current.issue_member(key, "observers/o1", timedelta(days=30))
        await self.changed()
        return enrollment_service_pb2.RenewCertificateResponse(
            certificate=write_bundle([certificate]), authorities=KEYRING.authorities
        )

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        """Say each new revision."""
        self.watched_at_s.append(time.monotonic())
        await self.changed()
        if self.refuse_watches:
            context.set_trailing_metadata(((ERROR_CODE, "unavailable"),))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as many agents as allowed are watching")
        known = request.known_revision

        def is_news() -> bool:
            return self.desired is not None and self.desired.revision != known

        while True:
            async with self._news:
                await self._news.wait_for(is_news)
                assert self.desired is not None
                known = self.desired.revision
            yield pb.WatchResponse(revision=known)

    async def FetchMetadata(self, request: pb.FetchMetadataRequest, context: Context) -> pb.FetchMetadataResponse:
        """Return a file of the signed metadata."""
        content = self.metadata.get(request.file)
        self.metadata_fetched.append((request.file, len(content or b"")))
        if content is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such metadata")
        return pb.FetchMetadataResponse(content=content)

    async def FetchBlob(self, request: pb.FetchBlobRequest, context: Context) -> AsyncIterator[pb.FetchBlobResponse]:
        """Stream a blob in small chunks, damaged or broken off as the test wants."""
        if request.digest not in self.blobs:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such blob")
        self.fetched[request.digest] += 1
        self.fetch_offsets.append(request.offset)
        content = self.damage(request.digest, self.blobs[request.digest])
        sent = 0
        longest = self.break_fetch_after.pop(0) if self.break_fetch_after else None
        for start in range(request.offset, len(content), 4096):
            if longest is not None and sent >= longest:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "broken off by the test")
            yield pb.FetchBlobResponse(chunk=content[start : start + 4096])
            sent += 4096

    async def UploadSegments(
        self, request_iterator: AsyncIterator[pb.UploadSegmentsRequest], context: Context
    ) -> AsyncIterator[pb.UploadSegmentsResponse]:
        """Hold segments, refuse some, and break the stream before an answer as the test wants."""
        if self.status is not None:
            await context.abort(self.status, "as the test wants")
        answered = 0
        longest = self.break_upload_after.pop(0) if self.break_upload_after else None
        async for request in self._taken(request_iterator):
            segment = request.segment
            key = (segment.origin.boot_id, segment.origin.sequence)
            response = pb.UploadSegmentsResponse(origin=segment.origin, outcome=pb.UPLOAD_OUTCOME_STORED)
            if self.refuse(segment):
                response.outcome = pb.UPLOAD_OUTCOME_REFUSED
                response.code, response.reason = "invalid_argument", "the test does not like it"
            elif key in self.segments:
                response.outcome = pb.UPLOAD_OUTCOME_ALREADY_STORED
            else:
                packed = request.encoding == CODES_ENCODING_ZSTD
                codes = decompress_codes(request.codes, segment.frame_count * 128) if packed else request.codes
                self.segments[key] = (segment, codes)
            if longest is not None and answered >= longest:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "broken off by the test")
            yield response
            answered += 1
            await self.changed()

    async def _taken(
        self, requests: AsyncIterator[pb.UploadSegmentsRequest]
    ) -> AsyncIterator[pb.UploadSegmentsRequest]:
        """Count requests as they come, and hand them on when answers are not held back."""
        taken: asyncio.Queue[pb.UploadSegmentsRequest | None] = asyncio.Queue()
        under_way = 0

        async def take() -> None:
            nonlocal under_way
            async for request in requests:
                under_way += len(request.codes)
                self.most_under_way = max(self.most_under_way, under_way)
                origin = request.segment.origin
                self.received[origin.boot_id, origin.sequence] += 1
                taken.put_nowait(request)
                await self.changed()
            taken.put_nowait(None)

        taking = asyncio.create_task(take())
        try:
            while (request := await taken.get()) is not None:
                await self._answering.wait()
                yield request
                under_way -= len(request.codes)
        finally:
            taking.cancel()

    async def ReportStatistics(
        self, request: statistics_pb2.ReportStatisticsRequest, context: Context
    ) -> statistics_pb2.ReportStatisticsResponse:
        """Hold statistics."""
        response = statistics_pb2.ReportStatisticsResponse()
        for span in request.statistics:
            self.statistics[span.origin.boot_id, span.origin.sequence] = span
            response.outcomes.add(origin=span.origin, accepted=True)
        await self.changed()
        return response

    async def ReportEvents(
        self, request: incident_pb2.ReportEventsRequest, context: Context
    ) -> pb.ReportEventsResponse:
        """Hold every report of every event, in the order in which they came."""
        response = pb.ReportEventsResponse()
        for event in request.events:
            self.events.append(event)
            response.outcomes.add(origin=event.origin, accepted=True)
        await self.changed()
        return response

    async def ReportAnomalies(self, request: pb.ReportAnomaliesRequest, context: Context) -> pb.ReportAnomaliesResponse:
        """Hold anomalies, apart from those of one cell."""
        response = pb.ReportAnomaliesResponse()
        for anomaly in request.anomalies:
            refused = anomaly.cell == self.refuse_anomalies_of
            if not refused:
                self.anomalies[anomaly.origin.boot_id, anomaly.origin.sequence] = anomaly
            response.outcomes.add(origin=anomaly.origin, accepted=not refused, code="not_found" if refused else "")
        await self.changed()
        return response


def _desired_message(desired: DesiredState) -> pb.DesiredState:
    message = pb.DesiredState(
        revision=desired.revision,
        training_target=to_duration_message(timedelta(seconds=desired.training_target_s)),
    )
    _describe(message, desired)
    for neighbour in desired.neighbours:
        _describe(message.neighbours.add(), neighbour)
    for field, release in ((message.shadow, desired.shadow), (message.global_release, desired.global_release)):
        if release is not None:
            field.CopyFrom(_release_message(release))
    if desired.self_test is not None:
        message.self_test.name = desired.self_test.name
        message.self_test.expire_time.FromDatetime(desired.self_test.expires_at)
    return message


def _describe(message: pb.DesiredState | pb.CellAssignment, cell: CellAssignment) -> None:
    message.cell.name, message.cell.band = cell.cell, cell.band
    message.band.name = cell.band
    message.band.center_hz, message.band.width_hz = cell.center_hz, cell.width_hz
    if cell.place is not None:
        message.cell.latitude_deg, message.cell.longitude_deg = cell.place.latitude_deg, cell.place.longitude_deg
        message.cell.radius_m = cell.place.radius_m
    if cell.release is not None:
        message.release.CopyFrom(_release_message(cell.release))
    if cell.teacher is not None:
        message.teacher.CopyFrom(_release_message(cell.teacher))


def _release_message(release: AssignedRelease) -> pb.AssignedRelease:
    manifest = model_pb2.BlobReference(digest=release.manifest.digest, size_bytes=release.manifest.size_bytes)
    return pb.AssignedRelease(serial=release.serial, manifest=manifest)
