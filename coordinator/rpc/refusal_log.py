"""Writes refused calls into the audit log, but never so many that a stranger could fill the disk with them."""

import time
from collections import Counter
from typing import Any, Final

import structlog

from bandwatch.errors import BandwatchError
from coordinator.registry.callers import NOBODY, Caller, Role
from coordinator.registry.session import Registry
from coordinator.rpc.rounds import every
from coordinator.services import audit

ENTRIES_PER_SECOND: Final = 10
_MANY: Final = Caller(Role.NEWCOMER, NOBODY, "")

_log = structlog.get_logger()


class RefusalLog:
    """Lists the first refusals of each second; those beyond are counted, and one entry then says how many.

    Strangers and known callers are counted apart, so that a flood from outside hides no member's refusal.
    """

    def __init__(self, registry: Registry, entries_per_second: int = ENTRIES_PER_SECOND) -> None:
        self._registry = registry
        self._limit = entries_per_second
        self._second = 0
        self._listed: Counter[bool] = Counter()
        self._unlisted = 0

    async def note(self, caller: Caller, refusal: str, reason: str) -> None:
        """Write down who was refused what; a database that is away does not hinder the refusal."""
        if not self._has_room(stranger=caller.role is Role.NEWCOMER):
            self._unlisted += 1
            return
        _log.warning("refused", caller=caller.name, action=caller.action, code=refusal, peer=caller.peer, reason=reason)
        if not await self._written(caller, refusal, {"reason": reason}):
            self._unlisted += 1

    async def keep(self) -> None:
        """Say every second how many were not listed, until cancelled."""
        await every(1.0, self.say_how_many_more, "counting refused calls")

    async def say_how_many_more(self) -> None:
        """Write down how many refusals were not listed since this was last said, if there were any."""
        count, self._unlisted = self._unlisted, 0
        if not count:
            return
        _log.warning("refused more calls than are listed one by one", count=count)
        if not await self._written(_MANY, "not_listed", {"refused_calls": count}):
            self._unlisted += count

    async def _written(self, caller: Caller, refusal: str, after: dict[str, Any]) -> bool:
        try:
            async with self._registry.transaction() as session:
                audit.note_refusal(session, caller, refusal, after)
        except BandwatchError as error:
            _log.warning("a refusal was not written down yet", reason=error.message)
            return False
        return True

    def _has_room(self, *, stranger: bool) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second = second
            self._listed.clear()
        self._listed[stranger] += 1
        return self._listed[stranger] <= self._limit
