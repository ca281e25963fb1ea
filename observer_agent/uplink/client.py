"""The calls of the observer service: each with a deadline, with the errors of Bandwatch and without its messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Self

import grpc
import grpc.aio

from bandwatch.artifacts.blobs import BlobStore, Incoming
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import CorruptError, UnavailableError
from bandwatch.identity.identity_files import Identity
from bandwatch.wire.channel import member_credentials, open_channel
from bandwatch.wire.enrollment import renewal_request, renewed_identity
from bandwatch.wire.status import ERROR_CODE, bandwatch_errors
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1.enrollment_service_pb2_grpc import EnrollmentServiceStub
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from observer_agent.settings import AgentSettings
from observer_agent.spool.records import HeldAnomaly, HeldEvent, HeldStatistics
from observer_agent.uplink import messages, messages_events, messages_statistics
from observer_agent.uplink.messages import Orders, Outcome, Report
from observer_agent.uplink.upload import Outgoing, SegmentUpload


class WatchRefusedError(UnavailableError):
    """The coordinator itself ended the watch, as when too many agents watch it."""


class Uplink:
    """A connection to the coordinator, which reconnects by itself.

    Every method raises UnavailableError where trying again may help, and another error of Bandwatch where it will not.
    """

    def __init__(self, settings: AgentSettings, identity: Identity) -> None:
        self.renewal_wanted = asyncio.Event()
        """Set when the coordinator wants the certificate renewed."""
        self._settings = settings
        self._channels: list[grpc.aio.Channel] = []
        self.go_on_as(identity)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels:
            await channel.close()

    @property
    def address(self) -> str:
        """Where the coordinator is called."""
        return self._settings.coordinator or self.identity.address

    def go_on_as(self, identity: Identity) -> None:
        """Make calls by this identity from now on. Those under way end on their old connection.

        That stays open as long as its calls need it; without calls the coordinator closes it within the hour.
        """
        self.identity = identity
        self.renewal_wanted.clear()
        self._channels.append(open_channel(self.address, member_credentials(identity)))
        self._stub = ObserverServiceStub(self._channels[-1])

    async def ask_for_renewal(self) -> Identity:
        """Return the same identity with a new certificate, which is not used yet."""
        with bandwatch_errors():
            stub = EnrollmentServiceStub(self._channels[-1])
            answer = await stub.RenewCertificate(renewal_request(self.identity), timeout=self._settings.sync_deadline_s)
        return renewed_identity(self.identity, answer)

    async def sync(self, report: Report) -> Orders:
        """Say what the agent is, and hear what it is to be."""
        with bandwatch_errors():
            request = messages.sync_request(report)
            request.authorities_digest = self.identity.authorities_digest
            asked_at = datetime.now(UTC)
            answer = await self._stub.Sync(request, timeout=self._settings.sync_deadline_s)
            answered_at = datetime.now(UTC)
        if answer.renew_certificate:
            self.renewal_wanted.set()
        return messages.orders_of(answer, asked_at, answered_at)

    async def watch(self, known_revision: int) -> AsyncIterator[int]:
        """Yield revisions of the desired state as they are made, until the deadline of the call ends it.

        Raises:
            WatchRefusedError: The coordinator can serve no watch at present; a Sync now and then does as well.
        """
        request = pb.WatchRequest(known_revision=known_revision)
        call = self._stub.Watch(request, timeout=self._settings.watch_deadline_s)
        try:
            with bandwatch_errors():
                async for response in call:
                    yield response.revision
        except UnavailableError as error:
            if await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return
            if ERROR_CODE in dict(await call.trailing_metadata()):
                raise WatchRefusedError(error.message) from error
            raise
        raise UnavailableError("the coordinator ended the watch")

    async def report_anomalies(self, anomalies: Sequence[HeldAnomaly]) -> list[Outcome]:
        """Deliver anomalies and return what became of each."""
        with bandwatch_errors():
            request = pb.ReportAnomaliesRequest(anomalies=[messages.anomaly_message(anomaly) for anomaly in anomalies])
            response = await self._stub.ReportAnomalies(request, timeout=self._settings.sync_deadline_s)
            return [messages.report_outcome(outcome) for outcome in response.outcomes]

    async def report_events(self, events: Sequence[HeldEvent]) -> list[Outcome]:
        """Deliver reports of events and return what became of each."""
        with bandwatch_errors():
            request = messages_events.events_request(events)
            response = await self._stub.ReportEvents(request, timeout=self._settings.sync_deadline_s)
            return [messages.report_outcome(outcome) for outcome in response.outcomes]

    async def report_statistics(self, statistics: Sequence[HeldStatistics]) -> list[Outcome]:
        """Deliver statistics and return what became of each."""
        with bandwatch_errors():
            request = messages_statistics.statistics_request(statistics)
            response = await self._stub.ReportStatistics(request, timeout=self._settings.sync_deadline_s)
            return [messages.report_outcome(outcome) for outcome in response.outcomes]

    async def upload(self, outgoing: Outgoing) -> int:
        """Wait for segments, deliver them until there are none for a while, and return how many were settled."""
        return await SegmentUpload(self._stub, outgoing, self._settings, self.identity.name).run()

    async def fetch_metadata(self, file: str) -> bytes:
        """Return a file of the signed metadata of releases.

        Raises:
            NotFoundError: There is none of that name.
        """
        with bandwatch_errors():
            request = pb.FetchMetadataRequest(file=file)
            response = await self._stub.FetchMetadata(request, timeout=self._settings.fetch_deadline_s)
            return response.content

    async def fetch_blob(self, reference: BlobReference, blobs: BlobStore) -> None:
        """Fetch a blob into the store, from where an earlier attempt broke off.

        Raises:
            CorruptError: What came is not what the reference promised; nothing of it is kept.
            NotFoundError: The coordinator does not have it.
            UnavailableError: It broke off; what came is kept for the next attempt.
        """
        with blobs.incoming(reference) as incoming:
            while incoming.offset < reference.size_bytes:
                await self._fetch_part(reference, incoming)
            await asyncio.to_thread(incoming.finish)

    async def _fetch_part(self, reference: BlobReference, incoming: Incoming) -> None:
        before = incoming.offset
        request = pb.FetchBlobRequest(digest=reference.digest, offset=before)
        try:
            with bandwatch_errors():
                async for response in self._stub.FetchBlob(request, timeout=self._settings.fetch_deadline_s):
                    incoming.append(response.chunk)
        except UnavailableError:
            if incoming.offset == before:
                raise
            return
        if incoming.offset == before:
            incoming.discard()
            raise CorruptError(f"blob {reference.digest} ended before its {reference.size_bytes} bytes")
