"""Sends what waits for webhooks over HTTP: signed, in time, and never somewhere else than asked."""

import asyncio
import time
from datetime import timedelta
from typing import Final

import httpx
import structlog

from bandwatch import names
from coordinator.registry.session import Registry
from coordinator.services.detection import webhooks
from coordinator.services.detection.webhooks import Outgoing, RetryRules

AT_ONCE: Final = 10
"""Messages under way at the same time."""
SIGNATURE_HEADER: Final = "Bandwatch-Signature"
DELIVERY_HEADER: Final = "Bandwatch-Delivery"

_log: Final = structlog.get_logger()


class Postman:
    """Delivers messages; what a receiver answers is looked at no further than its status."""

    def __init__(self, registry: Registry, rules: RetryRules, *, timeout: timedelta) -> None:
        self._registry = registry
        self._rules = rules
        self._timeout_s = timeout.total_seconds()
        # What the environment says of proxies and passwords concerns other programs.
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._timeout_s)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def deliver(self) -> int:
        """Send what is due, and return how many messages were tried."""
        lease = timedelta(seconds=3 * self._timeout_s)
        async with self._registry.transaction() as session:
            due = await webhooks.take_due(session, limit=AT_ONCE, lease=lease)
        errors = await asyncio.gather(*(self._send(message) for message in due))
        for message, error in zip(due, errors, strict=True):
            if error is not None:
                _log.warning("a webhook did not take a message", delivery=message.delivery_id, fault=error)
            async with self._registry.transaction() as session:
                await webhooks.settle(session, message.delivery_id, error, self._rules)
        return len(due)

    async def _send(self, message: Outgoing) -> str | None:
        """Send one message, and return what went wrong, if anything."""
        try:
            async with asyncio.timeout(self._timeout_s):  # httpx counts each read alone; a trickle would never end
                return await self._post(message)
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            return f"{type(error).__name__}: {error}".rstrip(": ")

    async def _post(self, message: Outgoing) -> str | None:
        timestamp = int(time.time())
        signed = webhooks.signature(message.secret, timestamp, message.body)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "bandwatch",
            SIGNATURE_HEADER: f"t={timestamp},v1={signed}",
            DELIVERY_HEADER: names.deliveries.name(message.delivery_id),
        }
        request = self._client.stream("POST", message.url, content=message.body.encode(), headers=headers)
        async with request as response:  # the answer's body is never read
            return None if response.is_success else f"the receiver answered {response.status_code}"
