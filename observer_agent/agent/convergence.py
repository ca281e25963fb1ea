"""Makes the agent equal to its desired state: asks for it, adopts its release, waits for the next change."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from bandwatch.errors import BandwatchError
from observer_agent.agent.adoption import Adoption
from observer_agent.agent.listening import Setup
from observer_agent.detection.model import ScoringModel
from observer_agent.models.desired import AssignedRelease, DesiredState, load_desired, save_desired
from observer_agent.models.store import ModelStore, is_meant_for
from observer_agent.uplink.client import Uplink, WatchRefusedError
from observer_agent.uplink.messages import Refusal, Report

_SHORTEST_POLL_S: Final = 0.1
_POLL_JITTER: Final = 0.2
_log: Final = structlog.stdlib.get_logger()


class Convergence:
    """The desired state as last heard, and the model in force. `on_setup` is told of every change of either."""

    def __init__(
        self,
        file: Path,
        store: ModelStore,
        uplink: Uplink,
        adoption: Adoption,
        *,
        make_report: Callable[[], Report],
        on_setup: Callable[[Setup], None],
        on_credit: Callable[[int], None],
    ) -> None:
        self.desired: DesiredState | None = None
        self.model: ScoringModel | None = None
        self.applied_revision = 0
        self.last_sync_at: datetime | None = None
        self.attempted = asyncio.Event()
        """Set once the first attempt to converge has ended, well or not."""
        self.assigned = asyncio.Event()
        """Set once the agent knows its cell."""
        self._file = file
        self._store = store
        self._uplink = uplink
        self._adoption = adoption
        self._make_report = make_report
        self._on_setup = on_setup
        self._on_credit = on_credit
        self._running: AssignedRelease | None = None
        self._poll_s = 0.0
        self._hint = asyncio.Event()
        self._heard = asyncio.Event()

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The releases that were refused."""
        return self._adoption.refusals

    async def restore(self) -> None:
        """Take up the desired state and the model of the last run, so that the agent works without the coordinator."""
        desired = await asyncio.to_thread(load_desired, self._file)
        active = self._store.active
        if desired is None:
            return
        self._assign(desired)
        if active is None or desired.release is None:
            return
        try:
            manifest = await asyncio.to_thread(self._store.open_manifest, active, desired)
            self._run(active, await asyncio.to_thread(self._adoption.load, manifest), desired)
        except BandwatchError as error:
            _log.warning("the model of the last run cannot be used", serial=active.serial, fault=error.message)

    async def sync(self) -> None:
        """Report, become what is desired, and wait until it is time to ask again."""
        self._hint.clear()
        try:
            told = self._make_report()
            orders = await self._uplink.sync(told)
            self.last_sync_at = datetime.now(UTC)
            self._poll_s = orders.next_poll_s
            self._on_credit(orders.upload_credit_bytes)
            await self._become(orders.desired)
        finally:
            self.attempted.set()
        self._heard.set()
        if _standing(self._make_report()) != _standing(told):
            return  # the coordinator hears of the change at once
        wait_s = max(_SHORTEST_POLL_S, orders.next_poll_s * random.uniform(1 - _POLL_JITTER, 1 + _POLL_JITTER))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hint.wait()

    async def say_goodbye(self) -> None:
        """Report once more, so that the coordinator knows the last counts; not being heard changes nothing."""
        with suppress(BandwatchError):
            await self._uplink.sync(self._make_report())

    async def watch(self) -> None:
        """Listen for hints that the desired state has changed. While that is refused, asking by itself must do."""
        await self._heard.wait()
        revision = 0 if self.desired is None else self.desired.revision
        try:
            async for newer in self._uplink.watch(revision):
                if self.desired is None or newer != self.desired.revision:
                    self._hint.set()
        except WatchRefusedError:
            await asyncio.sleep(self._poll_s)
            raise

    async def _become(self, desired: DesiredState) -> None:
        if desired != self.desired:
            await asyncio.to_thread(save_desired, self._file, desired)
            self._assign(desired)
        release = desired.release
        if release is not None and release != self._running:
            model = await self._adoption.adopt(release, desired)
            if model is not None:
                self._run(release, model, desired)
        if release == self._running:
            self.applied_revision = desired.revision

    def _assign(self, desired: DesiredState) -> None:
        """Work for that cell from now on; a model that is not meant for it stops."""
        if self.model is not None and (desired.release is None or not is_meant_for(self.model.manifest, desired)):
            self.model, self._running = None, None
        self.desired = desired
        self._on_setup(Setup(desired, self.model))
        self.assigned.set()

    def _run(self, release: AssignedRelease, model: ScoringModel, desired: DesiredState) -> None:
        self.model, self._running = model, release
        self._on_setup(Setup(desired, model))


def _standing(report: Report) -> tuple[object, ...]:
    return report.applied_revision, report.running_serial, report.refused
