"""Incidents, mutes, webhooks, self-tests, and the segments that are evidence."""

from collections.abc import AsyncIterator

from bandwatch import names
from bandwatch.wire.convert import to_span
from bandwatch.wire.v1 import incident_pb2 as pb
from coordinator.registry.callers import current_caller
from coordinator.registry.incidents import DeliveryState, IncidentState, Severity, Verdict
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.blobs import blob_chunks
from coordinator.rpc.edge import Context
from coordinator.rpc.messages import incidents as messages
from coordinator.rpc.messages.segments import segment_message
from coordinator.rpc.messages.words import optional_id, optional_word
from coordinator.services.detection import incidents, mutes, self_tests, webhooks
from coordinator.services.training import segments


class IncidentsDesk(Desk):
    """Shows what was found, hears what operators say of it, and keeps who is told."""

    async def ListIncidents(self, request: pb.ListIncidentsRequest, context: Context) -> pb.ListIncidentsResponse:
        """List incidents."""
        async with self._tools.registry.transaction() as session:
            page = await incidents.list_incidents(
                session,
                page_of(request),
                cell_id=optional_id(names.cells, request.cell),
                state=optional_word(IncidentState, pb.IncidentState, request.state),
                with_self_tests=request.with_self_tests,
            )
            seen_by = await incidents.observers_of(session, [incident.id for incident in page.entries])
        found = [messages.incident_message(incident, seen_by[incident.id]) for incident in page.entries]
        return pb.ListIncidentsResponse(incidents=found, next_page_token=page.next_token)

    async def GetIncident(self, request: pb.GetIncidentRequest, context: Context) -> pb.GetIncidentResponse:
        """Return an incident with its events and evidence."""
        async with self._tools.registry.transaction() as session:
            sight = await incidents.inspect(session, names.incidents.id(request.name))
            seen_by = await incidents.observers_of(session, [sight.incident.id])
        return pb.GetIncidentResponse(
            incident=messages.incident_message(sight.incident, seen_by[sight.incident.id]),
            events=[messages.event_message(event) for event in sight.events],
            evidence=[segment_message(segment) for segment in sight.evidence],
        )

    async def JudgeIncident(self, request: pb.JudgeIncidentRequest, context: Context) -> pb.JudgeIncidentResponse:
        """Note what an operator says of an incident."""
        async with self._tools.registry.transaction() as session:
            incident = await incidents.judge(
                session,
                names.incidents.id(request.name),
                verdict=optional_word(Verdict, pb.Verdict, request.verdict),
                note=request.note,
                by=current_caller.get().name,
            )
            seen_by = await incidents.observers_of(session, [incident.id])
        return pb.JudgeIncidentResponse(incident=messages.incident_message(incident, seen_by[incident.id]))

    async def CreateMute(self, request: pb.CreateMuteRequest, context: Context) -> pb.CreateMuteResponse:
        """Keep a part of the spectrum quiet."""
        wanted = request.mute
        async with self._tools.registry.transaction() as session:
            mute = await mutes.create(
                session,
                cell_id=names.cells.id(wanted.cell),
                low_hz=wanted.low_hz,
                high_hz=wanted.high_hz,
                lifetime=to_span(request.lifetime),
                reason=wanted.reason,
            )
        return pb.CreateMuteResponse(mute=messages.mute_message(mute))

    async def ListMutes(self, request: pb.ListMutesRequest, context: Context) -> pb.ListMutesResponse:
        """List mutes."""
        async with self._tools.registry.transaction() as session:
            page = await mutes.list_mutes(session, page_of(request))
        return pb.ListMutesResponse(
            mutes=[messages.mute_message(mute) for mute in page.entries], next_page_token=page.next_token
        )

    async def DeleteMute(self, request: pb.DeleteMuteRequest, context: Context) -> pb.DeleteMuteResponse:
        """End a mute."""
        async with self._tools.registry.transaction() as session:
            await mutes.delete_mute(session, names.mutes.id(request.name))
        return pb.DeleteMuteResponse()

    async def ReadSegment(
        self, request: pb.ReadSegmentRequest, context: Context
    ) -> AsyncIterator[pb.ReadSegmentResponse]:
        """Stream the codes of a segment."""
        async with self._tools.registry.transaction() as session:
            segment = await segments.get(session, *names.segment_key(request.name))
        async for chunk in blob_chunks(self._tools.segment_blobs, segment.codes_digest, 0):
            yield pb.ReadSegmentResponse(chunk=chunk)

    async def CreateWebhook(self, request: pb.CreateWebhookRequest, context: Context) -> pb.CreateWebhookResponse:
        """Register an address."""
        async with self._tools.registry.transaction() as session:
            webhook, secret = await webhooks.create(
                session,
                webhook_id=request.webhook_id,
                url=request.webhook.url,
                severity=optional_word(Severity, pb.Severity, request.webhook.severity),
            )
        return pb.CreateWebhookResponse(webhook=messages.webhook_message(webhook), secret=secret)

    async def ListWebhooks(self, request: pb.ListWebhooksRequest, context: Context) -> pb.ListWebhooksResponse:
        """List webhooks."""
        async with self._tools.registry.transaction() as session:
            page = await webhooks.list_webhooks(session, page_of(request))
        found = [messages.webhook_message(webhook) for webhook in page.entries]
        return pb.ListWebhooksResponse(webhooks=found, next_page_token=page.next_token)

    async def DeleteWebhook(self, request: pb.DeleteWebhookRequest, context: Context) -> pb.DeleteWebhookResponse:
        """Delete a webhook."""
        async with self._tools.registry.transaction() as session:
            await webhooks.delete_webhook(session, names.webhooks.id(request.name))
        return pb.DeleteWebhookResponse()

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, context: Context) -> pb.ListDeliveriesResponse:
        """List messages to webhooks."""
        state = optional_word(DeliveryState, pb.DeliveryState, request.state)
        async with self._tools.registry.transaction() as session:
            page = await webhooks.list_deliveries(session, page_of(request), state=state)
        found = [messages.delivery_message(delivery) for delivery in page.entries]
        return pb.ListDeliveriesResponse(deliveries=found, next_page_token=page.next_token)

    async def RetryDelivery(self, request: pb.RetryDeliveryRequest, context: Context) -> pb.RetryDeliveryResponse:
        """Try a dead message again."""
        async with self._tools.registry.transaction() as session:
            delivery = await webhooks.retry(session, names.deliveries.id(request.name))
        return pb.RetryDeliveryResponse(delivery=messages.delivery_message(delivery))

    async def CreateSelfTest(self, request: pb.CreateSelfTestRequest, context: Context) -> pb.CreateSelfTestResponse:
        """Order a self-test from an observer."""
        observer_id = names.observers.id(request.self_test.observer)
        async with self._tools.registry.transaction() as session:
            test = await self_tests.create(session, observer_id)
        return pb.CreateSelfTestResponse(self_test=messages.self_test_message(test))

    async def GetSelfTest(self, request: pb.GetSelfTestRequest, context: Context) -> pb.GetSelfTestResponse:
        """Return a self-test."""
        async with self._tools.registry.transaction() as session:
            test = await self_tests.get(session, names.self_tests.id(request.name))
        return pb.GetSelfTestResponse(self_test=messages.self_test_message(test))
