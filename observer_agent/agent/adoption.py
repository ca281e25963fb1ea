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
from observer_agent.models.desired import AssignedRelease, DesiredState
from observer_agent.models.store import ModelStore
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
    """Fetches, checks and loads releases. What was refused is remembered until the agent starts again.

    Only a release whose blobs were missing or damaged is tried again, after a while: the store may be whole by then.
    """

    def __init__(self, store: ModelStore, uplink: Uplink, load: Load, settings: AgentSettings) -> None:
        self._store = store
        self._uplink = uplink
        self._settings = settings
        self.load = load
        self._refused: dict[tuple[AssignedRelease, str], _Remembered] = {}

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What was refused, newest last."""
        return tuple(remembered.refusal for remembered in self._refused.values())

    async def adopt(self, release: AssignedRelease, desired: DesiredState) -> ScoringModel | None:
        """Return the model of a release, accepted durably; None when it is refused.

        Raises:
            UnavailableError: It could not be fetched at present.
        """
        before = self._refused.get((release, desired.cell))
        if before is not None and time.monotonic() < before.until_s:
            return None
        try:
            model = await self._accept(release, desired)
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
        wait_s = self._settings.refused_retry_s if error.code in _OF_THE_TRANSFER else math.inf
        self._refused[release, cell] = _Remembered(refusal, time.monotonic() + wait_s)
        for key in list(self._refused)[:-_REMEMBERED]:
            del self._refused[key]

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
