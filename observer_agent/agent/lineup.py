"""Which model serves which cell: the best rung of each cell's ladder that this agent could get hold of."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from bandwatch.artifacts.manifest import Manifest
from bandwatch.errors import BandwatchError, UnavailableError
from observer_agent.agent.adoption import Adoption
from observer_agent.detection.model import ScoringModel
from observer_agent.models.desired import AssignedRelease, DesiredState, LadderStep
from observer_agent.models.store import ModelStore, is_meant_for

_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class InForce:
    """A release that runs, or is ready to run, in a cell."""

    release: AssignedRelease
    model: ScoringModel
    since_at: datetime


class Room:
    """Counts the bytes of models; what several share is counted once."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._counted: set[str] = set()

    def has(self, manifest: Manifest) -> bool:
        """Tell whether a model would find room."""
        return sum(self._new(manifest).values()) <= self._left

    def take(self, manifest: Manifest) -> None:
        """Count a model, also one for which there is no room."""
        new = self._new(manifest)
        self._counted |= new.keys()
        self._left -= sum(new.values())

    def _new(self, manifest: Manifest) -> dict[str, int]:
        blobs = {blob.digest: blob.size_bytes for blob in manifest.content.blobs()}
        return {digest: size for digest, size in blobs.items() if digest not in self._counted}


class Lineup:
    """The models of every cell of a desired state. Set `desired` first; `on_change` is called when a model changes."""

    def __init__(
        self, store: ModelStore, adoption: Adoption, *, limit_bytes: int, on_change: Callable[[], None]
    ) -> None:
        self.desired: DesiredState | None = None
        self.shadow: InForce | None = None
        self._store = store
        self._adoption = adoption
        self._limit_bytes = limit_bytes
        self._on_change = on_change
        self._serving: dict[str, InForce] = {}
        self._tidied: tuple[AssignedRelease | None, ...] = ()
        self._one_at_a_time = asyncio.Lock()

    def serving(self, cell: str) -> InForce | None:
        """Return what serves a cell."""
        return self._serving.get(cell)

    @property
    def ready(self) -> int:
        """How many cells have a model."""
        return len(self._serving)

    def drop_strangers(self) -> None:
        """Let go of what serves cells that are not desired any more, or is not meant for its cell as it is now."""
        desired = self.desired
        for cell, serving in list(self._serving.items()):
            here = None if desired is None else desired.within(cell)
            if here is None or not here.ladder or not is_meant_for(serving.model.manifest, here):
                del self._serving[cell]
        if self.shadow is not None and (desired is None or desired.shadow != self.shadow.release):
            self.shadow = None

    async def restore(self) -> None:
        """Take up the model that the own cell had in the last run, from what is on this disk."""
        here = self.desired
        if here is None or not here.ladder:
            return
        last = (self._store.accepted(here.cell), *(step.release for step in here.ladder))
        for release in dict.fromkeys(release for release in last if release is not None):
            if not await asyncio.to_thread(self._store.holds, release.manifest):
                continue
            try:
                manifest = await asyncio.to_thread(self._store.open_manifest, release, here)
                self._put(here, release, await asyncio.to_thread(self._adoption.load, manifest))
            except BandwatchError as error:
                _log.warning("a model of the last run cannot be used", serial=release.serial, fault=error.message)
            else:
                return

    async def obtain(self, cell: str, room: Room | None = None) -> None:
        """Bring the best release of a cell's ladder that can be had in force there.

        What was in force before stays where its successor is refused.

        Raises:
            UnavailableError: One could not be fetched at present; a lower one may serve until it can.
        """
        async with self._one_at_a_time:
            here = None if self.desired is None else self.desired.within(cell)
            if here is not None:
                await self._climb(here, room)

    async def _climb(self, here: DesiredState, room: Room | None) -> None:
        before, missed = self.serving(here.cell), None
        stays = before is not None and before.release not in {step.release for step in here.ladder}
        for step in here.ladder:
            if before is not None and step.release == before.release:
                break
            try:
                model = await self._adopt(step, here, room)
            except UnavailableError as error:
                model, missed = None, missed or error
            if model is not None:
                self._put(here, step.release, model)
            if model is not None or stays:
                break
        if missed is not None:
            raise missed

    async def _adopt(self, step: LadderStep, here: DesiredState, room: Room | None) -> ScoringModel | None:
        return await self._adoption.adopt(
            step.release,
            here,
            step.scope,
            loaded=self._loaded(step.release),
            has_room=room.has if room is not None else lambda _: True,
        )

    async def obtain_shadow(self) -> None:
        """Load the release that is to run in shadow in the own cell. It counts for no cell, so its serial neither.

        Raises:
            UnavailableError: It could not be fetched at present.
        """
        async with self._one_at_a_time:
            here = self.desired
            wanted = None if here is None else here.shadow
            if here is None or wanted is None or (self.shadow is not None and self.shadow.release == wanted):
                return
            loaded = self._loaded(wanted)
            model = await self._adoption.adopt(wanted, here, f"{here.cell} in shadow", loaded=loaded)
            if model is not None:
                self.shadow = InForce(wanted, model, datetime.now(UTC))
                self._on_change()

    async def prepare(self, cells: Iterable[str], *, at_least: int) -> None:
        """Have the models of cells ready, in this order, as many as there is room for, and let go of the others.

        The first `at_least` cells keep theirs whatever room they take.

        Raises:
            UnavailableError: Some could not be fetched at present.
        """
        room, missed = Room(self._limit_bytes), None
        for number, cell in enumerate(cells):
            try:
                await self.obtain(cell, room if number >= at_least else None)
            except UnavailableError as error:
                missed = error
            serving = self.serving(cell)
            if serving is not None and number >= at_least and not room.has(serving.model.manifest):
                del self._serving[cell]
                self._on_change()
            elif serving is not None:
                room.take(serving.model.manifest)
        if missed is not None:
            raise missed

    async def tidy(self, active: AssignedRelease | None = None) -> None:
        """Note which release is active now, and remove the blobs of all models that serve nowhere."""
        async with self._one_at_a_time:
            ready = [*self._serving.values(), *([self.shadow] if self.shadow else [])]
            kept = tuple(dict.fromkeys(serving.release for serving in ready))
            if (active, *kept) == self._tidied:
                return
            if active is not None:
                await asyncio.to_thread(self._store.activate, active)
            await asyncio.to_thread(self._store.retain, kept)
            self._tidied = (active, *kept)

    def _loaded(self, release: AssignedRelease) -> ScoringModel | None:
        known = [*self._serving.values(), *([self.shadow] if self.shadow else [])]
        return next((serving.model for serving in known if serving.release == release), None)

    def _put(self, here: DesiredState, release: AssignedRelease, model: ScoringModel) -> None:
        self._serving[here.cell] = InForce(release, model, datetime.now(UTC))
        _log.info("a release is in force", cell=here.cell, serial=model.serial, model=model.name)
        self._on_change()
