"""Wakes the watches of observers whose desired state another process changed, as the schedule does with rollouts."""

from typing import Final

from coordinator.notices import Notices
from coordinator.registry.session import Registry
from coordinator.rpc.rounds import every
from coordinator.services.fleet import observers

LOOK_S: Final = 1.0
"""One query for all watches of this process; a hint within the process comes at once."""


class Wakeups:
    """Looks at the revisions of all watched observers."""

    def __init__(self, registry: Registry, notices: Notices) -> None:
        self._registry = registry
        self._notices = notices
        self._known: dict[str, int] = {}

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        await every(LOOK_S, self.look, "waking watches")

    async def look(self) -> None:
        """Wake those whose observer has another revision than at the last look."""
        watched = self._notices.watched
        if not watched:
            self._known = {}
            return
        async with self._registry.transaction() as session:
            revisions = await observers.revisions_of(session, watched)
        self._notices.hint([name for name, revision in revisions.items() if self._known.get(name) != revision])
        self._known = revisions
