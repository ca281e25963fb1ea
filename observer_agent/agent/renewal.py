"""Keeps the observer's certificate good: renews it in time, and whenever the coordinator's authorities change."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from bandwatch.errors import UnauthenticatedError
from bandwatch.identity.certificates import renewal_at, time_left
from bandwatch.identity.identity_files import save_renewed
from observer_agent.uplink.client import Uplink

_LONGEST_WAIT_S: Final = 3600.0
"""Clocks of observers are set forward and back; a due moment is looked at again this often."""
_log: Final = structlog.stdlib.get_logger()


class Renewal:
    """Renews the identity in a folder, and lets the uplink go on with it."""

    def __init__(self, uplink: Uplink, folder: Path) -> None:
        self._uplink = uplink
        self._folder = folder

    async def renew(self) -> None:
        """Wait until the certificate is due, then renew it.

        Raises:
            UnauthenticatedError: It has expired, so that nobody takes it for a proof any more.
            UnavailableError: The coordinator could not be reached.
        """
        certificate = self._uplink.identity.own_certificate
        if time_left(certificate) <= timedelta(0):
            raise UnauthenticatedError("the observer's certificate has expired; enrol again with a new join token")
        due_s = (renewal_at(certificate) - datetime.now(UTC)).total_seconds()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(due_s, 0.0), _LONGEST_WAIT_S)):
                await self._uplink.renewal_wanted.wait()
        if not self._uplink.renewal_wanted.is_set() and datetime.now(UTC) < renewal_at(certificate):
            return
        renewed = await self._uplink.ask_for_renewal()
        await asyncio.to_thread(save_renewed, self._folder, renewed)
        self._uplink.go_on_as(renewed)
        _log.info("the certificate was renewed", good_until=renewed.own_certificate.not_valid_after_utc.isoformat())
