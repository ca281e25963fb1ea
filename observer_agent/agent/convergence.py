"""Makes the agent equal to its desired state: asks for it, adopts its releases, waits for the next change."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bandwatch.errors import BandwatchError, UnavailableError
from observer_agent.agent.adoption import Adoption
from observer_agent.agent.lineup import InForce, Lineup
from observer_agent.agent.listening import Plan, Setup
from observer_agent.agent.navigation import Position
from observer_agent.models.desired import DesiredState, load_desired, save_desired
from observer_agent.models.store import ModelStore
from observer_agent.places.place_finder import order_ahead
from observer_agent.uplink.client import Uplink, WatchRefusedError
from observer_agent.uplink.messages import Orders, Refusal, Report

_SHORTEST_POLL_S: Final = 0.1
_POLL_JITTER: Final = 0.2


class Convergence:
    """The desired state as last heard, and the models in force. `on_plan` is told of every change of either."""

    def __init__(
        self,
        file: Path,
        store: ModelStore,
        uplink: Uplink,
        adoption: Adoption,
        *,
        model_cache_bytes: int,
        make_report: Callable[[], Report],
        on_plan: Callable[[Plan], None],
        on_orders: Callable[[Orders], None],
    ) -> None:
        self.desired: DesiredState | None = None
        self.applied_revision = 0
        self.last_sync_at: datetime | None = None
        self.position: Position | None = None
        """Where the radio side says that the observer is; None until it has found out."""
        self.attempted = asyncio.Event()
        """Set once the first attempt to converge has ended, well or not."""
        self.assigned = asyncio.Event()
        """Set once the agent knows its cell."""
        self.lineup = Lineup(store, adoption, limit_bytes=model_cache_bytes, on_change=self._publish)
        self._file = file
        self._uplink = uplink
        self._adoption = adoption
        self._make_report = make_report
        self._on_plan = on_plan
        self._on_orders = on_orders
        self._poll_s = 0.0
        self._hint = asyncio.Event()
        self._heard = asyncio.Event()
        self._ahead = asyncio.Event()

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The releases that were refused."""
        return self._adoption.refusals

    @property
    def cell(self) -> str | None:
        """The cell that the observer is in: its own unless it moved; None where it is in none that it knows."""
        if self.desired is None or self.position is None:
            return None if self.desired is None else self.desired.cell
        return self.position.cell

    @property
    def in_force(self) -> InForce | None:
        """What serves the cell that the observer is in."""
        return None if self.cell is None else self.lineup.serving(self.cell)

    async def restore(self) -> None:
        """Take up the desired state and the model of the last run, so that the agent works without the coordinator."""
        desired = await asyncio.to_thread(load_desired, self._file)
        if desired is not None:
            self._assign(desired)
            await self.lineup.restore()

    def moved(self, position: Position) -> None:
        """Take note of where the observer is now; the coordinator hears of another cell at once."""
        if self.position is None or position.cell != self.position.cell:
            self._hint.set()
        self.position = position
        self._ahead.set()

    async def sync(self) -> None:
        """Report, become what is desired, and wait until it is time to ask again."""
        self._hint.clear()
        try:
            told = self._make_report()
            orders = await self._uplink.sync(told)
            self.last_sync_at = datetime.now(UTC)
            self._poll_s = orders.next_poll_s
            self._on_orders(orders)
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

    async def look_ahead(self) -> None:
        """Have the models ready of cells that the observer may come to, those ahead of it first.

        Raises:
            UnavailableError: Some could not be fetched at present; they are asked for again.
        """
        await self._ahead.wait()
        self._ahead.clear()
        refused_before = self.refusals
        try:
            await self.lineup.prepare(self._cells_in_order(), at_least=2 if self._is_away else 1)
        except UnavailableError:
            self._ahead.set()
            raise
        finally:
            self._note_applied()
            await self._tidy()
            if self.refusals != refused_before:
                self._hint.set()  # the coordinator hears of it at once

    @property
    def _is_away(self) -> bool:
        return self.desired is not None and self.cell not in (None, self.desired.cell)

    def _cells_in_order(self) -> list[str]:
        if self.desired is None:
            return []
        cells = list(self.desired.cells)
        if self.position is not None and self.position.fix is not None:
            cells = order_ahead(self.desired.places, self.position.fix, self.position.heading_deg) + cells
        first = [cell for cell in (self.cell, self.desired.cell) if cell in self.desired.cells]
        return list(dict.fromkeys([*(cell for cell in first if cell is not None), *cells]))

    async def _become(self, desired: DesiredState) -> None:
        if desired != self.desired:
            await asyncio.to_thread(save_desired, self._file, desired)
            self._assign(desired)
        try:
            await self.lineup.obtain(self.cell or desired.cell)
            await self.lineup.obtain_shadow()
        finally:
            self._note_applied()
        await self._tidy()
        if desired.neighbours:
            self._ahead.set()  # what could not be had before may be there now

    async def _tidy(self) -> None:
        await self.lineup.tidy(self.in_force.release if self.in_force else None)

    def _assign(self, desired: DesiredState) -> None:
        """Work for these cells from now on; models that are not meant for theirs stop."""
        self.desired = self.lineup.desired = desired
        self.lineup.drop_strangers()
        self._publish()
        self.assigned.set()
        self._ahead.set()

    def _note_applied(self) -> None:
        """The desired state is reached once the release of the present cell, if it has one, is in force there."""
        here = None if self.desired is None else self.desired.within(self.cell or self.desired.cell)
        serving = None if here is None else self.lineup.serving(here.cell)
        if here is not None and here.release in (None, serving.release if serving else None):
            self.applied_revision = here.revision

    def _publish(self) -> None:
        desired = self.desired
        if desired is None:
            return
        setups = {}
        for cell in desired.cells:
            here, serving = desired.within(cell), self.lineup.serving(cell)
            shadow = self.lineup.shadow if cell == desired.cell else None
            if here is not None:
                model = serving.model if serving else None
                setups[cell] = Setup(here, model, shadow.model if shadow else None)
        self._on_plan(Plan(desired.cell, setups, desired.places))


def _standing(report: Report) -> tuple[object, ...]:
    return report.applied_revision, report.running_serial, report.refused, report.shadow_serial, report.cell
