"""A small coordinator that keeps everything in memory: what tests of the agent talk to, over real gRPC."""

# ruff: noqa: N802, ARG002 - the contract names the methods and their arguments

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.wire.channel import SERVER_OPTIONS, server_credentials
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.status import ERROR_CODE
from bandwatch.wire.v1 import model_pb2
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1.observer_service_pb2_grpc import (
    ObserverServiceServicer,
    add_ObserverServiceServicer_to_server,
)
from bandwatch.wire.v1.spectrum_pb2 import Anomaly, Segment
from observer_agent.models.desired import AssignedRelease, DesiredState

Context = grpc.aio.ServicerContext[Any, Any]


def never(_: Segment) -> bool:
    """Refuse nothing."""
    return False


class FakeCoordinator(ObserverServiceServicer):
    """Serves one observer. Attributes are its registry; a test changes them, then calls `changed`."""

    def __init__(self) -> None:
        self.desired: DesiredState | None = None
        self.credit_bytes = 8 << 20
        self.next_poll_s = 60.0
        self.refuse_watches = False
        self.watched_at_s: list[float] = []
        self.reports: list[pb.ReportedState] = []
        self.blobs: dict[str, bytes] = {}
        self.fetched: Counter[str] = Counter()
        self.damage: Callable[[str, bytes], bytes] = lambda _, content: content
        self.break_fetch_after: list[int] = []
        self.fetch_offsets: list[int] = []
        self.segments: dict[tuple[str, int], tuple[Segment, bytes]] = {}
        self.received: Counter[tuple[str, int]] = Counter()
        self.most_under_way = 0
        self.refuse: Callable[[Segment], bool] = never
        self.break_upload_after: list[int] = []
        self.anomalies: dict[tuple[str, int], Anomaly] = {}
        self.refuse_anomalies_of = ""
        self.status: grpc.StatusCode | None = None
        self._answering = asyncio.Event()
        self._answering.set()
        self.port = 0
        self._news = asyncio.Condition()
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on a port, the same as before if one is given."""
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        add_ObserverServiceServicer_to_server(self, self._server)
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", server_credentials())
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
        response = pb.SyncResponse(upload_credit_bytes=self.credit_bytes)
        response.next_poll.FromMilliseconds(int(self.next_poll_s * 1000))
        if self.desired is not None:
            response.desired.CopyFrom(_desired_message(self.desired))
        return response

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
                self.segments[key] = (segment, request.codes)
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
    message.cell.name, message.cell.band = desired.cell, desired.band
    message.band.name = desired.band
    message.band.center_hz, message.band.width_hz = desired.center_hz, desired.width_hz
    if desired.release is not None:
        manifest = desired.release.manifest
        message.release.serial = desired.release.serial
        message.release.manifest.CopyFrom(
            model_pb2.BlobReference(digest=manifest.digest, size_bytes=manifest.size_bytes)
        )
    return message
