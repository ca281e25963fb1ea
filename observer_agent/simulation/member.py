"""One observer of a simulated fleet: a real agent, on simulated radio, behind a link that may be cut."""

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from bandwatch.errors import BandwatchError
from bandwatch.identity.identity_files import Identity
from observer_agent.agent.loop import Agent, Source
from observer_agent.models.store import ModelStore
from observer_agent.settings import AgentSettings
from observer_agent.simulation.account import ObserverAccount, account_of
from observer_agent.simulation.fleet import SimulatedObserver
from observer_agent.simulation.links import Link, LinkFaults, disturb
from observer_agent.simulation.radio import SharedRadio, SimulatedPositions, SimulatedRadio
from observer_agent.simulation.uplink import SimulatedUplink
from observer_agent.simulation.witness import Witness, WitnessedSpool

_MEGABYTE = 1_000_000
_STATUS_INTERVAL_S = 10.0


def settings_of(data_dir: Path, network: Path) -> AgentSettings:
    """Return the settings of a simulated agent; what is not set here comes from the environment.

    The network stands in for the file of a simulated cell, which nothing reads. The receiver keeps the pace itself.

    Raises:
        InvalidArgumentError: The environment holds a setting that will not do.
    """
    return AgentSettings.from_options(
        {
            "data_dir": data_dir,
            "simulate": network,
            "pace": "fast",
            "exit_at_end": True,
            "status_interval_s": _STATUS_INTERVAL_S,
        }
    )


class Member:
    """One observer. `phase`, from 0 to 1, says when in each period it listens."""

    def __init__(self, observer: SimulatedObserver, settings: AgentSettings, radio: SharedRadio, phase: float) -> None:
        self.observer = observer
        self.witness = Witness()
        self.link = Link()
        self.receiver = SimulatedRadio(radio, observer, phase)
        self.fault = ""
        self._settings = settings
        self._positions = SimulatedPositions(radio, observer)
        self._agent: Agent | None = None
        self._disturbing: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self, identity: Identity, faults: LinkFaults) -> None:
        """Run the agent until its radio has ended and everything is delivered, or until `stop`."""
        structlog.contextvars.bind_contextvars(observer=self.observer.name)
        data_dir = self._settings.data_dir
        try:
            store = await asyncio.to_thread(ModelStore, data_dir / "models", identity.release_root)
            spool = await asyncio.to_thread(self._open_spool)
        except BandwatchError as error:
            self.fault = error.message
            return
        try:
            async with SimulatedUplink(self._settings, identity, self.link, self.witness) as uplink:
                self._agent = Agent(self._settings, self._source(), spool, store, uplink)
                if self._stopped:
                    return
                self._disturbing = asyncio.create_task(disturb(self.link, faults, self.observer.name))
                await self._agent.run()
        except BandwatchError as error:
            self.fault = error.message
        finally:
            await self._calm_down()
            self.witness.close(await asyncio.to_thread(spool.held_numbers))
            spool.close()

    def end(self) -> None:
        """Listen no more and suffer no more cuts; what was made is delivered, then the agent ends."""
        self.receiver.end()
        if self._disturbing is not None:
            self._disturbing.cancel()

    def stop(self) -> None:
        """End at once; what is not delivered stays in the spool."""
        self._stopped = True
        self.end()
        if self._agent is not None:
            self._agent.stop()

    def account(self) -> ObserverAccount:
        """Return what the coordinator should know of it, once it has run."""
        observer = self.observer
        return account_of(
            observer.name, observer.entry.mobility, self.witness, self.receiver.looks, self.link.cuts, self.fault
        )

    def _open_spool(self) -> WitnessedSpool:
        spool = WitnessedSpool(
            self._settings.data_dir / "spool",
            limit_bytes=self._settings.spool_limit_mb * _MEGABYTE,
            quarantine_limit_bytes=self._settings.quarantine_limit_mb * _MEGABYTE,
        )
        spool.witness = self.witness
        return spool

    def _source(self) -> Source:
        return Source(self.receiver, self.observer.entry.mobility, positions=self._positions)

    async def _calm_down(self) -> None:
        if self._disturbing is not None:
            self._disturbing.cancel()
            with suppress(asyncio.CancelledError):
                await self._disturbing
