"""The part of ObserverService that takes events."""

from dataclasses import dataclass
from datetime import timedelta

from bandwatch.wire.v1 import incident_pb2
from bandwatch.wire.v1 import observer_service_pb2 as pb
from coordinator.registry.callers import current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.incidents import new_event
from coordinator.rpc.reports import recorded
from coordinator.services.detection import events
from coordinator.services.detection.merges import MergeRules
from coordinator.services.refusals import Refused


@dataclass(frozen=True)
class EventLimits:
    """How events become incidents, and how far in the future they may lie."""

    rules: MergeRules
    clock_lead: timedelta


class EventsPart:
    """Records events."""

    _registry: Registry
    _event_limits: EventLimits

    async def ReportEvents(
        self, request: incident_pb2.ReportEventsRequest, context: Context
    ) -> pb.ReportEventsResponse:
        """Record events and answer each alone."""
        observer_id, limits = current_caller.get().observer_id, self._event_limits

        async def record(sound: list[incident_pb2.Event]) -> list[Refused | None]:
            found = [new_event(event, observer_id) for event in sound]
            async with self._registry.transaction() as session:
                return await events.record(session, found, limits.rules, clock_lead=limits.clock_lead)

        return pb.ReportEventsResponse(outcomes=await recorded(request.events, record))
