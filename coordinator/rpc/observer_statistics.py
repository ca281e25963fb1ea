"""The part of ObserverService that takes statistics."""

from datetime import timedelta

from bandwatch.wire.v1 import statistics_pb2 as pb
from coordinator.registry.callers import current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.statistics import new_statistics
from coordinator.rpc.reports import recorded
from coordinator.services.fleet import statistics
from coordinator.services.refusals import Refused


class StatisticsPart:
    """Records statistics."""

    _registry: Registry
    _clock_lead: timedelta

    async def ReportStatistics(
        self, request: pb.ReportStatisticsRequest, context: Context
    ) -> pb.ReportStatisticsResponse:
        """Record spans and answer each alone."""
        observer_id = current_caller.get().observer_id

        async def record(sound: list[pb.Statistics]) -> list[Refused | None]:
            spans = [new_statistics(span, observer_id) for span in sound]
            async with self._registry.transaction() as session:
                return await statistics.record(session, spans, clock_lead=self._clock_lead)

        return pb.ReportStatisticsResponse(outcomes=await recorded(request.statistics, record))
