"""Watches over open streams: who is revoked, deleted or expired while it is connected loses them within two seconds."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from coordinator.registry.callers import Caller, Role
from coordinator.registry.session import Registry
from coordinator.rpc.identity import GoneCallerError
from coordinator.rpc.rounds import every
from coordinator.services.identity import certificates, operators

LOOK_S: Final = 1.0
"""One query for all streams of this process, so that it may be often; also what another coordinator revoked is seen."""

_MEMBERS: Final = (Role.OBSERVER, Role.WORKER)


class Vigil:
    """Knows which streams are open, and ends them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._open: defaultdict[Caller, set[asyncio.Timeout]] = defaultdict(set)

    @asynccontextmanager
    async def over(self, caller: Caller) -> AsyncIterator[None]:
        """Run a block as long as its caller may call.

        Raises:
            GoneCallerError: It may not any more.
        """
        try:
            async with asyncio.timeout(None) as stay:
                self._open[caller].add(stay)
                try:
                    yield
                finally:
                    self._open[caller].discard(stay)
                    if not self._open[caller]:
                        del self._open[caller]
        except TimeoutError:
            if not stay.expired():
                raise
            raise GoneCallerError(f"{caller.name} may not call any more; enrol with a new join token", caller) from None

    async def keep(self) -> None:
        """Look at all open streams again and again, until cancelled."""
        await every(LOOK_S, self.look, "looking at open streams")

    async def look(self) -> None:
        """End the streams of those who may not call any more."""
        members = {caller.key for caller in self._open if caller.role in _MEMBERS}
        administering = {caller.key for caller in self._open if caller.role not in _MEMBERS and caller.key}
        if not members and not administering:
            return
        async with self._registry.transaction() as session:
            ended = set(await certificates.ended(session, members)) if members else set()
            gone = await operators.gone(session, administering) if administering else set()
        now_s = asyncio.get_running_loop().time()
        for caller, stays in self._open.items():
            if caller.key in (ended if caller.role in _MEMBERS else gone):
                for stay in stays:
                    stay.reschedule(now_s)
