"""What this observer may send in a day: evidence before training before routine."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

from observer_agent.spool.records import Lane
from observer_agent.spool.store import Spool

SHARE_OF: Final = {Lane.EVIDENCE: 1.0, Lane.TRAINING: 0.8, Lane.ROUTINE: 0.6}
"""How much of the budget may be spent before a lane waits for the next day. The last fifth is for evidence alone."""


def _today() -> date:
    return datetime.now(UTC).date()


class UploadBudget:
    """Bytes of segments in a UTC day: the agent's own limit, or the coordinator's where that is smaller.

    What was sent is counted in the spool's index before it goes, so it holds across restarts.
    """

    def __init__(self, spool: Spool, own_limit_bytes: int, today: Callable[[], date] = _today) -> None:
        self._spool = spool
        self._own_limit_bytes = own_limit_bytes
        self._today = today
        self.limit_bytes = own_limit_bytes

    def allow(self, budget_bytes: int) -> None:
        """Take note of the coordinator's budget; zero leaves the agent's own."""
        self.limit_bytes = min(budget_bytes or self._own_limit_bytes, self._own_limit_bytes)

    @property
    def used_bytes(self) -> int:
        """What was sent since midnight."""
        return self._spool.sent_on(self._today())

    @property
    def last_lane(self) -> Lane | None:
        """The last lane that need not wait for the next day; None when all must."""
        used = self.used_bytes
        return max((lane for lane, share in SHARE_OF.items() if used < share * self.limit_bytes), default=None)

    def takes(self, lane: Lane, size: int) -> bool:
        """Tell whether so much more of a lane may be sent today."""
        return self.used_bytes + size <= SHARE_OF[lane] * self.limit_bytes

    def spend(self, size: int) -> None:
        """Count what is about to be sent, durably."""
        self._spool.count_sent(self._today(), size)
