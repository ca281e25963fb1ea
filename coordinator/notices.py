"""Wake-ups for agents that watch: hints only, since every agent also asks by itself."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from bandwatch.errors import UnavailableError


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer than that, and tell whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


class Notices:
    """Joins those who change an observer's desired state with the streams that tell its agent."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def watching(self, observer_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the observer's desired state changed.

        Raises:
            UnavailableError: As many streams as allowed are open.
        """
        if self._held >= self._limit:
            raise UnavailableError(f"{self._limit} agents are watching, which is the limit; rely on Sync instead")
        changed = asyncio.Event()
        self._held += 1
        self._watchers[observer_id].add(changed)
        try:
            yield changed
        finally:
            self._held -= 1
            self._watchers[observer_id].discard(changed)
            if not self._watchers[observer_id]:
                del self._watchers[observer_id]

    def hint(self, observer_ids: Iterable[str]) -> None:
        """Wake the streams of observers."""
        for observer_id in observer_ids:
            for changed in self._watchers.get(observer_id, ()):
                changed.set()

    def hint_all(self) -> None:
        """Wake every stream, so that it sees that the server is stopping."""
        self.hint(list(self._watchers))
