"""Waking training workers through Celery, by task name only: a lost message costs a delay, never a run."""

import asyncio
from typing import Any, Final
from urllib.parse import urlsplit

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from bandwatch.errors import FailedPreconditionError, UnavailableError

TRAINING_TASK: Final = "bandwatch.train"
TRAINING_QUEUE: Final = "bandwatch-training"

_log = structlog.get_logger()


class Broker:
    """Announces runs to workers."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._celery = Celery("bandwatch", broker=redis_url)
        self._celery.conf.update(
            task_serializer="json",
            task_ignore_result=True,
            broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 5},
            broker_connection_retry_on_startup=True,
        )

    async def announce(self, run_name: str) -> bool:
        """Tell workers of a run, and whether the broker took the message."""
        return await asyncio.to_thread(self._announce, run_name)

    def _announce(self, run_name: str) -> bool:
        try:
            self._celery.send_task(TRAINING_TASK, args=[run_name], queue=TRAINING_QUEUE, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            _log.warning("broker unreachable; the run will be announced later", run=run_name, error=str(error))
            return False
        return True

    def check(self) -> None:
        """See that Redis keeps what it takes.

        Raises:
            UnavailableError: Redis does not answer.
            FailedPreconditionError: It may evict queued messages.
        """
        try:
            with redis.Redis.from_url(self._url, socket_connect_timeout=2, socket_timeout=5) as client:
                settings: Any = client.config_get("maxmemory-policy")
        except redis.RedisError as error:
            raise UnavailableError(f"Redis at {_place(self._url)} does not answer: {error}") from error
        policy = settings.get("maxmemory-policy", "noeviction")
        if policy != "noeviction":
            raise FailedPreconditionError(
                f"Redis evicts keys under memory pressure (maxmemory-policy {policy}), queued runs among them: "
                "set maxmemory-policy to noeviction"
            )

    def close(self) -> None:
        """Close the broker's connections."""
        self._celery.close()


def _place(url: str) -> str:
    """Return a URL without user and password, fit for a log."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}{parts.path}"
