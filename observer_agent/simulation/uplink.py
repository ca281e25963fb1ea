"""The agent's own uplink over a link that may be cut, with a witness of what is said and answered."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bandwatch.artifacts.blobs import Incoming
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import UnavailableError
from bandwatch.identity.identity_files import Identity
from observer_agent.settings import AgentSettings
from observer_agent.simulation.links import Link
from observer_agent.simulation.witness import Witness
from observer_agent.spool.records import HeldAnomaly, HeldEvent, HeldStatistics
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Orders, Outcome, Report
from observer_agent.uplink.upload import Outgoing


class SimulatedUplink(Uplink):
    """Every call goes over the link."""

    def __init__(self, settings: AgentSettings, identity: Identity, link: Link, witness: Witness) -> None:
        super().__init__(settings, identity)
        self._link = link
        self._witness = witness

    async def ask_for_renewal(self) -> Identity:
        """Return the same identity with a new certificate."""
        async with self._call():
            return await super().ask_for_renewal()

    async def sync(self, report: Report) -> Orders:
        """Say what the agent is, and hear what it is to be."""
        async with self._call():
            orders = await super().sync(report)
        self._witness.told(report)
        return orders

    async def watch(self, known_revision: int) -> AsyncIterator[int]:
        """Yield revisions of the desired state. A watch says nothing while nothing changes: its end is no failure."""
        async with self._link.call():
            async for revision in super().watch(known_revision):
                self._witness.contact.succeeded()
                yield revision

    async def report_anomalies(self, anomalies: Sequence[HeldAnomaly]) -> list[Outcome]:
        """Deliver anomalies and return what became of each."""
        async with self._call():
            return await super().report_anomalies(anomalies)

    async def report_events(self, events: Sequence[HeldEvent]) -> list[Outcome]:
        """Deliver reports of events and return what became of each."""
        async with self._call():
            outcomes = await super().report_events(events)
        self._witness.reported(events, outcomes)
        return outcomes

    async def report_statistics(self, statistics: Sequence[HeldStatistics]) -> list[Outcome]:
        """Deliver statistics and return what became of each."""
        async with self._call():
            return await super().report_statistics(statistics)

    async def upload(self, outgoing: Outgoing) -> int:
        """Deliver segments until there are none for a while, and return how many were settled."""
        async with self._call():
            return await super().upload(outgoing)

    async def fetch_metadata(self, file: str) -> bytes:
        """Return a file of the signed metadata of releases."""
        async with self._call():
            return await super().fetch_metadata(file)

    async def _fetch_part(self, reference: BlobReference, incoming: Incoming) -> None:
        async with self._call():
            await super()._fetch_part(reference, incoming)

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """Let a call be made inside, and take note of whether the coordinator answered."""
        try:
            async with self._link.call():
                yield
        except UnavailableError:
            self._witness.contact.failed()
            raise
        self._witness.contact.succeeded()
