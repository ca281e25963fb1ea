"""Faults of links: an observer's connection is cut for a while, again and again, by a schedule that a seed decides."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from bandwatch.errors import UnavailableError


@dataclass(frozen=True)
class LinkFaults:
    """Each link is cut for `cut_s`, after `every_s` on average since the last cut ended. An `every_s` of 0: never."""

    cut_s: float
    every_s: float
    seed: int


class Link:
    """The way from one agent to the coordinator. While it is cut, calls under way break off and no others are made.

    An answer that was on its way is lost, as is what was sent of an upload. The connection beneath stays open.
    """

    def __init__(self) -> None:
        self.cuts: list[tuple[datetime, datetime | None]] = []
        """When the link was cut, and when it was well again."""
        self.is_cut = False
        self._calls: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Let a call be made inside, which breaks off when the link is cut.

        Raises:
            UnavailableError: The link is cut.
        """
        if self.is_cut:
            raise UnavailableError("the simulated link is cut")
        call = asyncio.timeout(None)
        try:
            async with call:
                self._calls.add(call)
                try:
                    yield
                finally:
                    self._calls.discard(call)
        except TimeoutError:
            if not call.expired():
                raise
            raise UnavailableError("the simulated link was cut") from None

    def cut(self) -> None:
        """Break off the calls under way, and let none through."""
        self.is_cut = True
        self.cuts.append((datetime.now(UTC), None))
        for call in self._calls:
            call.reschedule(asyncio.get_running_loop().time())
        self._calls.clear()

    def heal(self) -> None:
        """Let calls through again."""
        if self.is_cut:
            self.is_cut = False
            self.cuts[-1] = (self.cuts[-1][0], datetime.now(UTC))


def times_between_cuts_s(faults: LinkFaults, observer: str) -> Iterator[float]:
    """Yield how long the link of an observer is whole before each cut: the same for the same seed."""
    chance = random.Random(f"{faults.seed} {observer}")
    while faults.every_s:
        yield chance.expovariate(1 / faults.every_s)


async def disturb(link: Link, faults: LinkFaults, observer: str) -> None:
    """Cut a link by the schedule of its observer until cancelled; it is whole then."""
    try:
        for whole_s in times_between_cuts_s(faults, observer):
            await asyncio.sleep(whole_s)
            link.cut()
            await asyncio.sleep(faults.cut_s)
            link.heal()
    finally:
        link.heal()
