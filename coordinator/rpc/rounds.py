"""Work that is done again and again while the coordinator serves, and that nothing ends but the coordinator's stop."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from bandwatch.errors import UnavailableError

_log = structlog.get_logger()


async def every(seconds: float, work: Callable[[], Awaitable[None]], what: str) -> None:
    """Do work after each pause, until cancelled; a failure is logged, and the next time comes."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except UnavailableError as error:
            _log.warning("not possible at present", work=what, reason=error.message)
        except Exception:  # noqa: BLE001 - whatever went wrong once must not end it for good
            _log.exception("failed unexpectedly; it is tried again", work=what)
