"""A TCP link as observers in the field have it: slow, late, cut off, or silent, by a seed."""

import asyncio
import math
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Self

_LARGEST: Final = 16_384
_STEP_S: Final = 0.05
"""A slow link passes small pieces on, so that none waits longer than that for its speed alone."""
_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time at all: closing sends a reset instead of what is left."""


@dataclass(frozen=True)
class Weather:
    """What a link does to what passes it.

    Attributes:
        delay_s: Seconds that everything takes longer, each way.
        bytes_per_s: What passes in a second, each way.
        stalled: Share of the pieces that come later by `stall_s`, as those that got lost and were sent again.
        stall_s: By how many seconds.
        cut_after: Least and most bytes after which a connection is reset; drawn for each one.
        silent_after: The same, but the connection stands on, and nothing passes any more.
    """

    delay_s: float = 0.0
    bytes_per_s: float = math.inf
    stalled: float = 0.0
    stall_s: float = 0.0
    cut_after: tuple[int, int] | None = None
    silent_after: tuple[int, int] | None = None


FAIR: Final = Weather()


@dataclass
class _Passage:
    """Both ways of one connection, which share what may still pass."""

    cut_after: float
    silent_after: float
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    def cut(self) -> None:
        for writer in self.writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()


class BadLink:
    """Passes TCP connections on to an address, or in turn to the next of several that answers.

    What the weather is may be changed at any moment.
    """

    def __init__(self, seed: int, *targets: str) -> None:
        self._targets = [target.rsplit(":", 1) for target in targets]
        self._draw = random.Random(seed)
        self._weather = FAIR
        self._changed = asyncio.Event()
        self._counted = asyncio.Event()
        self.address = ""
        self.connections = 0
        self.cuts = 0
        self.silenced = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        """Serve until the block ends, and cut what is left then."""
        passages: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            passage = _Passage(self._drawn(self._weather.cut_after), self._drawn(self._weather.silent_after), [writer])
            task = asyncio.ensure_future(self._pass_on(reader, passage))
            passages.add(task)
            task.add_done_callback(lambda _: passage.cut())
            task.add_done_callback(passages.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in passages:
                task.cancel()
            await asyncio.gather(*passages, return_exceptions=True)

    def become(self, weather: Weather) -> None:
        """Change the weather. New connections draw anew; what a slow link holds back passes at the new speed."""
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true of this link's counts."""
        while not condition():
            self._counted.clear()
            await self._counted.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, passage: _Passage) -> None:
        self.connections += 1
        self._counted.set()
        reached = await self._reach()
        if reached is None:
            return
        far_reader, far_writer = reached
        ways = [
            asyncio.ensure_future(self._carry(source, sink, passage))
            for source, sink in ((reader, far_writer), (far_reader, passage.writers[0]))
        ]
        passage.writers.append(far_writer)
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = self.connections
        for number in range(len(self._targets)):
            host, port = self._targets[(first + number) % len(self._targets)]
            with suppress(OSError):
                return await asyncio.open_connection(host, int(port))
        return None

    @property
    def _piece(self) -> int:
        return int(max(1, min(_LARGEST, self._weather.bytes_per_s * _STEP_S)))

    def _drawn(self, limits: tuple[int, int] | None) -> float:
        return math.inf if limits is None else self._draw.randint(*limits)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, passage: _Passage) -> None:
        """Carry bytes one way until either end closes or the connection is cut."""
        with suppress(OSError):
            while chunk := await source.read(self._piece):
                await self._hold_back(len(chunk))
                passage.cut_after -= len(chunk)
                passage.silent_after -= len(chunk)
                if passage.cut_after <= 0:
                    self.cuts += 1
                    self._counted.set()
                    return
                if passage.silent_after <= 0:
                    self.silenced += 1
                    self._counted.set()
                    await asyncio.Event().wait()
                sink.write(chunk)
                await sink.drain()

    async def _hold_back(self, size: int) -> None:
        """Let as much time pass as the weather takes for so many bytes, or until it changes."""
        weather, changed = self._weather, self._changed
        seconds = weather.delay_s + size / weather.bytes_per_s
        if weather.stalled and self._draw.random() < weather.stalled:
            seconds += weather.stall_s
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), seconds)
