"""Delivers what the spool holds: segments over one stream, reports in batches."""

import asyncio
from typing import Final

import structlog

from observer_agent.agent.reporting import Reporting
from observer_agent.settings import AgentSettings
from observer_agent.spool.store import Spool
from observer_agent.uplink.budget import UploadBudget
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.upload import Credit, Outgoing

_MEGABYTE: Final = 1_000_000
_log: Final = structlog.stdlib.get_logger()


class Delivery:
    """Rounds of work, to be done again and again; what is not answered stays in the spool."""

    def __init__(self, spool: Spool, uplink: Uplink, settings: AgentSettings) -> None:
        self._spool = spool
        self._uplink = uplink
        self._credit = Credit(settings.upload_in_flight_mb * _MEGABYTE)
        self._segments = asyncio.Event()
        self._settled = asyncio.Event()
        self._anomalies = Reporting("anomaly", spool, spool.anomalies, uplink.report_anomalies, self._settled)
        self._events = Reporting("event", spool, spool.events, uplink.report_events, self._settled)
        self._statistics = Reporting("statistics", spool, spool.statistics, uplink.report_statistics, self._settled)
        self.budget = UploadBudget(spool, settings.upload_budget_mb * _MEGABYTE)
        """What may be sent today."""
        self._outgoing = Outgoing(spool, self._credit, self.budget, self._segments, self._settled)

    def wake(self) -> None:
        """Take note that the spool holds more."""
        self._events.wake()
        self._anomalies.wake()
        self._statistics.wake()
        self._segments.set()

    def allow(self, credit_bytes: int) -> None:
        """Take note of how many bytes the coordinator allows under way."""
        self._credit.allow(credit_bytes)
        self._segments.set()

    async def upload(self) -> None:
        """Deliver segments until there are none for a while."""
        settled = await self._uplink.upload(self._outgoing)
        _log.info("segments were delivered", settled=settled)

    async def report(self) -> None:
        """Deliver a batch of anomalies, or wait for some."""
        await self._anomalies.deliver()

    async def report_events(self) -> None:
        """Deliver a batch of reports of events, or wait for some; they wait for nothing else."""
        await self._events.deliver()

    async def report_statistics(self) -> None:
        """Deliver a batch of statistics, or wait for some."""
        await self._statistics.deliver()

    async def wait_until_delivered(self) -> None:
        """Return once the spool holds nothing that waits for delivery."""
        while self._spool.totals.held:
            await self._settled.wait()
            self._settled.clear()
