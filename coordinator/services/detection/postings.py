"""Sends what waits for webhooks over HTTP: signed, in time, and never somewhere else than asked."""

import asyncio
import time
from datetime import timedelta
from typing import Final

import httpx
import structlog

from bandwatch import names
from bandwatch.errors import UnavailableError
from coordinator.registry.session import Registry
from coordinator.services.detection import webhooks
from coordinator.services.detection.webhooks import Outgoing, RetryRules

AT_ONCE: Final = 50
"""Webhooks that are told something at the same time."""
LOOK_S: Final = 1.0
"""How often is looked for messages that are due."""
SIGNATURE_HEADER: Final = "Bandwatch-Signature"
DELIVERY_HEADER: Final = "Bandwatch-Delivery"

_log: Final = structlog.get_logger()


class Postman:
    """Delivers messages, one at a time to each webhook; of what a receiver answers only the status counts.

    A receiver that is slow, or never answers, holds up only its own messages.
    """

    def __init__(self, registry: Registry, rules: RetryRules, *, timeout: timedelta) -> None:
        self._registry = registry
        self._rules = rules
        self._timeout_s = timeout.total_seconds()
        self._busy: dict[str, asyncio.Task[None]] = {}
        # What the environment says of proxies and passwords concerns other programs.
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._timeout_s)

    async def close(self) -> None:
        """Stop sending and close every connection; what was under way is sent again later."""
        for sending in self._busy.values():
            sending.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        await self._client.aclose()

    async def keep(self) -> None:
        """Send whatever becomes due, until cancelled."""
        while True:
            try:
                await self._start()
            except UnavailableError as error:
                _log.warning("messages to webhooks postponed", reason=error.message)
            except Exception:  # noqa: BLE001 - whatever went wrong with one message must not end the rest for good
                _log.exception("messages to webhooks failed; they are tried again")
            if self._busy:
                await asyncio.wait(self._busy.values(), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(LOOK_S)

    async def deliver(self) -> int:
        """Send the oldest message that is due to each webhook, and return how many were tried."""
        started = await self._start()
        await asyncio.gather(*self._busy.values())
        return started

    async def _start(self) -> int:
        self._busy = {webhook_id: task for webhook_id, task in self._busy.items() if not task.done()}
        lease = timedelta(seconds=3 * self._timeout_s)
        async with self._registry.transaction() as session:
            due = await webhooks.take_due(session, apart_from=self._busy, limit=AT_ONCE, lease=lease)
        for message in due:
            self._busy[message.webhook_id] = asyncio.create_task(self._try(message))
        return len(due)

    async def _try(self, message: Outgoing) -> None:
        error = await self._send(message)
        if error is not None:
            _log.warning("a webhook did not take a message", delivery=message.delivery_id, fault=error)
        try:
            async with self._registry.transaction() as session:
                await webhooks.settle(session, message.delivery_id, error, self._rules)
        except UnavailableError as away:
            _log.warning("a message is sent again, since nobody could note it", reason=away.message)

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
