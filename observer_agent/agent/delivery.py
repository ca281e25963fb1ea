"""Delivers what the spool holds: segments over one stream, anomalies in batches."""

import asyncio
from typing import Final

import structlog

from observer_agent.settings import AgentSettings
from observer_agent.spool.store import Spool
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.upload import Credit, Outgoing

_REPORTED_AT_ONCE: Final = 500
_MEGABYTE: Final = 1_000_000
_log: Final = structlog.stdlib.get_logger()


class Delivery:
    """Two rounds of work, to be done again and again; what is not answered stays in the spool."""

    def __init__(self, spool: Spool, uplink: Uplink, settings: AgentSettings) -> None:
        self._spool = spool
        self._uplink = uplink
        self._credit = Credit(settings.upload_in_flight_mb * _MEGABYTE)
        self._anomalies = asyncio.Event()
        self._segments = asyncio.Event()
        self._settled = asyncio.Event()
        self._outgoing = Outgoing(spool, self._credit, self._segments, self._settled)

    def wake(self) -> None:
        """Take note that the spool holds more."""
        self._anomalies.set()
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
        self._anomalies.clear()
        anomalies = await asyncio.to_thread(self._spool.anomalies, _REPORTED_AT_ONCE)
        if not anomalies:
            self._settled.set()  # on the way to nothing, the spool may have dropped what was damaged
            await self._anomalies.wait()
            return
        outcomes = await self._uplink.report_anomalies(anomalies)
        await asyncio.to_thread(self._spool.acknowledge, [outcome.origin for outcome in outcomes if outcome.stored])
        for outcome in outcomes:
            if not outcome.stored:
                _log.warning("an anomaly was refused", sequence=outcome.origin.sequence, reason=outcome.reason)
                await asyncio.to_thread(self._spool.quarantine, outcome.origin, outcome.code, outcome.reason)
        self._settled.set()

    async def wait_until_delivered(self) -> None:
        """Return once the spool holds nothing that waits for delivery."""
        while self._spool.totals.held:
            await self._settled.wait()
            self._settled.clear()
