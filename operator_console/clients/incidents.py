"""Incidents, who is told of them, and the segments that show them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.status import bandwatch_errors
from bandwatch.wire.v1 import incident_pb2 as pb
from operator_console.clients.calls import Caller, call, pages

_READ_DEADLINE_S: Final = 120.0


class IncidentsClient(Caller):
    """Reads what was found, says what it was, and keeps who is told."""

    def list_incidents(
        self,
        *,
        cell: str = "",
        state: pb.IncidentState.ValueType = pb.INCIDENT_STATE_UNSPECIFIED,
        with_self_tests: bool = False,
    ) -> Iterator[pb.Incident]:
        """Yield incidents, newest first."""
        request = pb.ListIncidentsRequest(cell=cell, state=state, with_self_tests=with_self_tests)
        return pages(self._stub.ListIncidents, request, lambda page: page.incidents)

    def get_incident(self, name: str) -> pb.GetIncidentResponse:
        """Read an incident with its events and evidence."""
        return call(self._stub.GetIncident, pb.GetIncidentRequest(name=name))

    def judge_incident(self, name: str, verdict: pb.Verdict.ValueType, note: str) -> pb.Incident:
        """Acknowledge an incident, and say what it was."""
        request = pb.JudgeIncidentRequest(name=name, verdict=verdict, note=note)
        return call(self._stub.JudgeIncident, request).incident

    def read_segment(self, name: str) -> bytes:
        """Read the codes of a stored segment."""
        with bandwatch_errors():
            stream = self._stub.ReadSegment(pb.ReadSegmentRequest(name=name), timeout=_READ_DEADLINE_S)
            return b"".join(part.chunk for part in stream)

    def create_mute(self, mute: pb.Mute, lifetime: timedelta) -> pb.Mute:
        """Keep a part of a cell's spectrum quiet for a while."""
        request = pb.CreateMuteRequest(mute=mute, lifetime=to_duration_message(lifetime))
        return call(self._stub.CreateMute, request).mute

    def list_mutes(self) -> Iterator[pb.Mute]:
        """Yield mutes by name."""
        return pages(self._stub.ListMutes, pb.ListMutesRequest(), lambda page: page.mutes)

    def delete_mute(self, name: str) -> None:
        """End a mute."""
        call(self._stub.DeleteMute, pb.DeleteMuteRequest(name=name))

    def create_webhook(self, webhook_id: str, webhook: pb.Webhook) -> tuple[pb.Webhook, str]:
        """Register an address; returns it and the key of its signatures, which nobody can read again."""
        answer = call(self._stub.CreateWebhook, pb.CreateWebhookRequest(webhook_id=webhook_id, webhook=webhook))
        return answer.webhook, answer.secret

    def list_webhooks(self) -> Iterator[pb.Webhook]:
        """Yield webhooks by name."""
        return pages(self._stub.ListWebhooks, pb.ListWebhooksRequest(), lambda page: page.webhooks)

    def delete_webhook(self, name: str) -> None:
        """Delete a webhook with its messages."""
        call(self._stub.DeleteWebhook, pb.DeleteWebhookRequest(name=name))

    def list_deliveries(
        self, *, state: pb.DeliveryState.ValueType = pb.DELIVERY_STATE_UNSPECIFIED
    ) -> Iterator[pb.Delivery]:
        """Yield messages to webhooks, newest first."""
        return pages(self._stub.ListDeliveries, pb.ListDeliveriesRequest(state=state), lambda page: page.deliveries)

    def retry_delivery(self, name: str) -> pb.Delivery:
        """Try a dead message again."""
        return call(self._stub.RetryDelivery, pb.RetryDeliveryRequest(name=name)).delivery

    def create_self_test(self, observer: str) -> pb.SelfTest:
        """Order an agent to mix a known anomaly into its own stream."""
        request = pb.CreateSelfTestRequest(self_test=pb.SelfTest(observer=observer))
        return call(self._stub.CreateSelfTest, request).self_test

    def get_self_test(self, name: str) -> pb.SelfTest:
        """Read a self-test with the time of each stage."""
        return call(self._stub.GetSelfTest, pb.GetSelfTestRequest(name=name)).self_test
