"""Notices that the broker's messages do not reach this worker any more, and ends it, to be started anew.

Seen with Celery and kombu 5.7: where Redis goes away in the moment in which a message is acknowledged, the worker
connects again and never asks for another message.
"""

import threading
from collections.abc import Callable
from typing import Final

import redis
import structlog

from training_worker.supervision import Supervisor

LOOK_S: Final = 5.0
"""A worker with a free place takes a message within milliseconds."""
LOOKS: Final = 3
DEAF: Final = 70
"""Exit code of a worker that hears nothing; it has no attempt in progress then, or places are free beside it."""

_log = structlog.get_logger()


def watch(
    broker: "redis.Redis", queue: str, supervisor: Supervisor, end: Callable[[int], None], *, look_s: float = LOOK_S
) -> None:
    """Look at the queue until messages waited in it at three looks while this worker had a free place and took none."""
    pause, unheard, taken = threading.Event(), 0, -1
    while unheard < LOOKS:
        pause.wait(look_s)
        waiting = supervisor.has_room and supervisor.taken == taken and _holds_messages(broker, queue)
        unheard, taken = unheard + 1 if waiting else 0, supervisor.taken
    _log.critical("the broker's messages do not reach this worker; it ends, to be started anew", queue=queue)
    end(DEAF)


def _holds_messages(broker: "redis.Redis", queue: str) -> bool:
    try:
        return bool(broker.llen(queue))
    except redis.RedisError:
        return False
