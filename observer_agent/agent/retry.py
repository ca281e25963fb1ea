"""Does work again and again, and waits longer after each failure."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bandwatch.errors import BandwatchError, PermissionDeniedError, UnauthenticatedError, UnavailableError
from observer_agent.settings import AgentSettings

_log: Final = structlog.stdlib.get_logger()


class Backoff:
    """Waits with full jitter, so that a fleet does not come back all at once: 0 to base, 2 base, 4 base, ... to cap."""

    def __init__(self, base_s: float, cap_s: float) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._failures = 0

    def reset(self) -> None:
        """Begin again at the shortest wait."""
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to wait after another failure."""
        longest_s = min(self._cap_s, self._base_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return random.uniform(0, longest_s)


async def keep_doing(name: str, work: Callable[[], Awaitable[None]], settings: AgentSettings) -> None:
    """Run work until cancelled. A failure is logged once, not each time that it repeats."""
    backoff = Backoff(settings.retry_base_s, settings.retry_cap_s)
    fault: str | None = None
    while True:
        try:
            await work()
        except (BandwatchError, OSError) as error:
            if str(error) != fault:
                _say(name, error)
            fault = str(error)
            known = not isinstance(error, UnauthenticatedError | PermissionDeniedError)
            await asyncio.sleep(backoff.next_s() if known else settings.refused_retry_s)
        else:
            if fault is not None:
                _log.info("works again", task=name)
            fault = None
            backoff.reset()


def _say(name: str, error: BandwatchError | OSError) -> None:
    if isinstance(error, UnauthenticatedError | PermissionDeniedError):
        _log.error("the coordinator does not accept this observer: enrol it again", task=name, fault=str(error))
    elif isinstance(error, UnavailableError | OSError):
        _log.warning("failed; trying again", task=name, fault=str(error))
    else:
        _log.error("failed; trying again", task=name, fault=str(error), code=error.code)
