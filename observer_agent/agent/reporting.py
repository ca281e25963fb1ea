"""Delivers what is reported in batches, each thing answered alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import structlog

from observer_agent.spool.store import Spool
from observer_agent.uplink.messages import Outcome

_REPORTED_AT_ONCE: Final = 500
_log: Final = structlog.stdlib.get_logger()
T = TypeVar("T")


class Reporting(Generic[T]):
    """One kind of report: how it is taken from the spool, and how it is sent. `settled` is set after each round."""

    def __init__(
        self,
        what: str,
        spool: Spool,
        read: Callable[[int], list[T]],
        send: Callable[[Sequence[T]], Awaitable[list[Outcome]]],
        settled: asyncio.Event,
    ) -> None:
        self._what = what
        self._spool = spool
        self._read = read
        self._send = send
        self._settled = settled
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Take note that the spool holds more."""
        self._more.set()

    async def deliver(self) -> None:
        """Deliver a batch, or wait for some."""
        self._more.clear()
        reports = await asyncio.to_thread(self._read, _REPORTED_AT_ONCE)
        if not reports:
            self._settled.set()  # on the way to nothing, the spool may have dropped what was damaged
            await self._more.wait()
            return
        outcomes = await self._send(reports)
        await asyncio.to_thread(self._spool.acknowledge, [outcome.origin for outcome in outcomes if outcome.stored])
        for outcome in outcomes:
            if not outcome.stored:
                _log.warning(
                    "a report was refused", what=self._what, sequence=outcome.origin.sequence, reason=outcome.reason
                )
                await asyncio.to_thread(self._spool.quarantine, outcome.origin, outcome.code, outcome.reason)
        self._settled.set()
