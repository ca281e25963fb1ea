"""Makes the agent run the release that it is to run, or says why it does not."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import BandwatchError, CorruptError, NotFoundError, UnavailableError
from observer_agent.detection.model import ScoringModel
from observer_agent.models.desired import AssignedRelease, DesiredState
from observer_agent.models.store import ModelStore
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Refusal

TRIES: Final = 3
_REMEMBERED: Final = 16
_log: Final = structlog.stdlib.get_logger()
Load = Callable[[Manifest], ScoringModel]


class Adoption:
    """Fetches, checks and loads releases. What was refused is remembered until the agent starts again."""

    def __init__(self, store: ModelStore, uplink: Uplink, load: Load) -> None:
        self._store = store
        self._uplink = uplink
        self.load = load
        self._refused: dict[tuple[AssignedRelease, str], Refusal] = {}

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused, newest last."""
        return tuple(self._refused.values())

    def was_refused(self, release: AssignedRelease, cell: str) -> bool:
        """Tell whether this agent has refused a release for a cell."""
        return (release, cell) in self._refused

    async def adopt(self, release: AssignedRelease, desired: DesiredState) -> ScoringModel | None:
        """Return the model of a release, accepted durably; None when it is refused.

        Raises:
            UnavailableError: It could not be fetched at present.
        """
        if self.was_refused(release, desired.cell):
            return None
        try:
            return await self._accept(release, desired)
        except UnavailableError:
            raise
        except BandwatchError as error:
            refusal = Refusal(release.serial, error.code, error.message)
            _log.error("a release was refused", serial=refusal.serial, code=refusal.code, reason=refusal.reason)
            self._refused[release, desired.cell] = refusal
            for key in list(self._refused)[:-_REMEMBERED]:
                del self._refused[key]
            return None

    async def _accept(self, release: AssignedRelease, desired: DesiredState) -> ScoringModel:
        self._store.check_serial(release, desired.cell)
        await self._obtain(release.manifest)
        manifest = await asyncio.to_thread(self._store.open_manifest, release, desired)
        for reference in manifest.content.blobs():
            await self._obtain(reference)
        model = await asyncio.to_thread(self.load, manifest)
        await asyncio.to_thread(self._store.activate, release, desired.cell)
        _log.info("a release is in force", serial=manifest.serial, model=manifest.model)
        return model

    async def _obtain(self, reference: BlobReference) -> None:
        """Fetch a blob unless it is here; one that arrives damaged is fetched again, three times in all."""
        for last in (False,) * (TRIES - 1) + (True,):
            if await asyncio.to_thread(self._store.holds, reference):
                return
            try:
                await self._uplink.fetch_blob(reference, self._store.blobs)
            except (CorruptError, NotFoundError) as error:
                if last:
                    raise
                _log.warning("a blob did not arrive as promised; fetching it again", fault=error.message)
            else:
                return
