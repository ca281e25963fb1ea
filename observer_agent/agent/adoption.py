"""Makes the agent run the release that it is to run, or says why it does not."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import BandwatchError, CorruptError, NotFoundError, UnavailableError
from observer_agent.agent.retry import Backoff
from observer_agent.detection.model import ScoringModel
from observer_agent.models.desired import GLOBAL_SCOPE, AssignedRelease, DesiredState
from observer_agent.models.store import ModelStore, WrongTargetError
from observer_agent.models.trust import MetadataError
from observer_agent.settings import AgentSettings
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Refusal

TRIES: Final = 3
_REMEMBERED: Final = 16
_OF_THE_TRANSFER: Final = frozenset({CorruptError.code, NotFoundError.code})
"""Codes that may come from the coordinator's store being away or damaged, not from the release."""
_log: Final = structlog.stdlib.get_logger()
Load = Callable[[Manifest], ScoringModel]


@dataclass(frozen=True)
class _Remembered:
    refusal: Refusal
    until_s: float


class Adoption:
    """Fetches, checks and loads releases, one at a time. What was refused is remembered until the agent starts again.

    Only a release whose blobs were missing or damaged, or which metadata did not vouch for, is tried again, after a
    while: the coordinator may be well by then.
    """

    def __init__(self, store: ModelStore, uplink: Uplink, load: Load, settings: AgentSettings) -> None:
        self._store = store
        self._uplink = uplink
        self._settings = settings
        self.load = load
        self._refused: dict[tuple[AssignedRelease, str], _Remembered] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused, newest last."""
        return tuple(dict.fromkeys(remembered.refusal for remembered in self._refused.values()))

    async def adopt(
        self,
        release: AssignedRelease,
        desired: DesiredState,
        scope: str | None = None,
        *,
        loaded: ScoringModel | None = None,
        has_room: Callable[[Manifest], bool] = lambda _: True,
    ) -> ScoringModel | None:
        """Return the model of a release for the cell of a desired state; None when it is refused, or has no room.

        Its serial is accepted durably in a scope, which is the cell unless another is named. A model that is loaded
        already is not loaded again.

        Raises:
            UnavailableError: It could not be fetched at present.
        """
        async with self._one_at_a_time:
            before = self._refused.get((release, desired.cell))
            if before is not None and time.monotonic() < before.until_s:
                return None
            try:
                model = await self._accept(release, desired, scope or desired.cell, loaded, has_room)
            except UnavailableError:
                raise
            except BandwatchError as error:
                self._refuse(release, desired.cell, error)
                return None
            self._refused.pop((release, desired.cell), None)
            return model

    def _refuse(self, release: AssignedRelease, cell: str, error: BandwatchError) -> None:
        refusal = Refusal(release.serial, error.code, error.message)
        if refusal not in self.refusals:
            _log.error("a release was refused", serial=refusal.serial, code=refusal.code, reason=refusal.reason)
        passing = error.code in _OF_THE_TRANSFER or isinstance(error, MetadataError)
        wait_s = self._settings.refused_retry_s if passing else math.inf
        self._refused[release, cell] = _Remembered(refusal, time.monotonic() + wait_s)
        for key in list(self._refused)[:-_REMEMBERED]:
            del self._refused[key]

    async def _accept(
        self,
        release: AssignedRelease,
        desired: DesiredState,
        scope: str,
        loaded: ScoringModel | None,
        has_room: Callable[[Manifest], bool],
    ) -> ScoringModel | None:
        self._store.check_serial(release, scope)
        await self._check_trusted(release)
        await self._obtain(release.manifest)
        manifest = await asyncio.to_thread(self._store.open_manifest, release, desired)
        _check_rung(manifest, desired, scope)
        if loaded is None and not has_room(manifest):
            return None
        for reference in manifest.content.blobs() if loaded is None else ():
            await self._obtain(reference)
        model = loaded or await asyncio.to_thread(self.load, manifest)
        await asyncio.to_thread(self._store.accept, release, scope)
        _log.info("a release was accepted", serial=manifest.serial, model=manifest.model, scope=scope)
        return model

    async def _check_trusted(self, release: AssignedRelease) -> None:
        """Ask signed metadata for a release; a thread reads it, and fetches it by this loop's connection."""
        loop = asyncio.get_running_loop()

        def fetch(file: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._uplink.fetch_metadata(file), loop).result()

        await asyncio.to_thread(self._store.check_trusted, release, fetch)

    async def _obtain(self, reference: BlobReference) -> None:
        """Fetch a blob unless it is here; one that is missing or arrives damaged is tried three times in all."""
        backoff = Backoff(self._settings.retry_base_s, self._settings.retry_cap_s)
        for last in (False,) * (TRIES - 1) + (True,):
            if await asyncio.to_thread(self._store.holds, reference):
                return
            try:
                await self._uplink.fetch_blob(reference, self._store.blobs)
            except (CorruptError, NotFoundError) as error:
                if last:
                    raise
                _log.warning("a blob did not arrive as promised; fetching it again", fault=error.message)
                await asyncio.sleep(backoff.next_s())
            else:
                return


def _check_rung(manifest: Manifest, desired: DesiredState, scope: str) -> None:
    """See that what is to stand in for a student is none: serials of another rung would let an old student back in.

    Raises:
        WrongTargetError: A student was offered as a teacher, or a band's teacher as the global one.
    """
    too_narrow = manifest.band if scope == GLOBAL_SCOPE else manifest.cell if scope == desired.band else None
    if too_narrow is not None:
        raise WrongTargetError(f"release {manifest.serial} is meant for {too_narrow} alone, not for all of {scope}")
