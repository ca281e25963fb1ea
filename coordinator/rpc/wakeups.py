"""Wakes the watches of observers whose desired state changed, whichever process changed it."""

import asyncio
from typing import Final

import structlog

from bandwatch.errors import UnavailableError
from coordinator.notices import Notices
from coordinator.registry.session import Registry

CHANNEL: Final = "bandwatch_revisions"
"""On which the database names each observer whose revision was raised, once that is committed."""
_AGAIN_S: Final = 1.0

_log = structlog.get_logger()


class Wakeups:
    """Listens to the database."""

    def __init__(self, registry: Registry, notices: Notices) -> None:
        self._registry = registry
        self._notices = notices

    async def keep(self) -> None:
        """Pass on what the database tells, until cancelled; after it was away, wake everybody."""
        while True:
            try:
                async with self._registry.listening(CHANNEL) as told:
                    self._notices.hint_all()
                    async for observer_id in told:
                        self._notices.hint([observer_id])
            except UnavailableError as error:
                _log.warning("watches are woken late", reason=error.message)
            await asyncio.sleep(_AGAIN_S)
