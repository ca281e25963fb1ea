"""What the schedule does by itself at times, each chore in a transaction of its own: one failure stops no other."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.errors import UnavailableError
from coordinator.registry.session import Registry

_MOST_OF_TIME: Final = 0.1
"""Share of the time that one chore may take: where there is much to look at, it is done less often."""
_LONGEST_REST_S: Final = 60.0
"""But no less often than that: a chore that took long because the database was away is soon due again."""
_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Chore:
    """A piece of work, and how often it is due."""

    name: str
    every_s: float
    work: Callable[[AsyncSession], Awaitable[Any]]


class Housekeeping:
    """Does chores when they are due. Of several schedulers, one does them at a time."""

    def __init__(self, registry: Registry, chores: Sequence[Chore]) -> None:
        self._registry = registry
        self._due_at = dict.fromkeys(chores, 0.0)

    async def look_after(self) -> None:
        """Do what is due. A chore that fails is logged, and the others and its next time come."""
        for chore, due_at in list(self._due_at.items()):
            begun_at = time.monotonic()
            if begun_at >= due_at:
                await self._do(chore)
                took_s = time.monotonic() - begun_at
                rest_s = min(took_s / _MOST_OF_TIME, _LONGEST_REST_S)
                self._due_at[chore] = begun_at + max(chore.every_s, rest_s)

    async def _do(self, chore: Chore) -> None:
        try:
            async with self._registry.transaction() as session:
                if await try_scheduler_lock(session):
                    await chore.work(session)
        except UnavailableError as error:
            _log.warning("a chore of the schedule is postponed", chore=chore.name, reason=error.message)
        except Exception:  # noqa: BLE001 - logged with its stack; the other chores and the next time must come
            _log.exception("a chore of the schedule failed", chore=chore.name)


async def try_scheduler_lock(session: AsyncSession) -> bool:
    """Tell whether this transaction is the one that may sweep; others leave the sweep to it."""
    return bool(await session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('training sweep'))")))
