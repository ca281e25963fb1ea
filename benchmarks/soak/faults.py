"""What a soak breaks, one thing a minute, and how soon the fleet had delivered everything that was due again."""

import random
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Final

import psutil
import psycopg
import redis

from benchmarks.soak.platform import COORDINATORS, Platform, Tell

EVERY_S: Final = 60.0
FROZEN_S: Final = 10.0
LATE: Final = timedelta(seconds=3)
"""A segment that is stored later than others by more than this was held up."""


@dataclass(frozen=True)
class Fault:
    """Something that was broken, and when."""

    what: str
    at: datetime


@dataclass(frozen=True)
class Recovery:
    """What a fault held up: how many segments, by how much at most, and after how long the last of them was stored."""

    what: str
    held_up: int
    latest_s: float
    delivered_after_s: float


def _kill(name: str, number: signal.Signals = signal.SIGKILL) -> Callable[[Platform], None]:
    return lambda platform: platform.supervisor.child(name).send(number)


def _freeze(name: str) -> Callable[[Platform], None]:
    """Return what stops a program with all that it started for a while: connections stand, and nothing answers."""

    def freeze(platform: Platform) -> None:
        first = psutil.Process(platform.pid(name))
        first.suspend()
        frozen = [first, *first.children(recursive=True)]
        try:
            for process in frozen:
                _signal(process, signal.SIGSTOP)
            platform.stopping.wait(FROZEN_S)
        finally:
            for process in frozen:
                _signal(process, signal.SIGCONT)

    return freeze


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _flush_redis(platform: Platform) -> None:
    with redis.Redis.from_url(platform.redis_url) as connection:
        connection.flushall()


def _cut_connections(platform: Platform) -> None:
    with platform.connect(connect_timeout=10) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


FAULTS: Final[dict[str, Callable[[Platform], None]]] = {
    "coordinator 1: SIGKILL": _kill(COORDINATORS[0]),
    "coordinator 2: SIGKILL": _kill(COORDINATORS[1]),
    "coordinator 2: SIGTERM": _kill(COORDINATORS[1], signal.SIGTERM),
    "coordinator 1: stopped for 10 s": _freeze(COORDINATORS[0]),
    "worker: SIGKILL": _kill("worker-1"),
    "schedule: SIGKILL": _kill("schedule"),
    "Redis: SIGKILL": _kill("redis"),
    "Redis: FLUSHALL": _flush_redis,
    "PostgreSQL: SIGKILL": _kill("postgres"),
    "PostgreSQL: all connections cut": _cut_connections,
    "PostgreSQL: stopped for 10 s": _freeze("postgres"),
}


def strike(platform: Platform, seed: int, times_s: Sequence[float], tell: Tell) -> list[Fault]:
    """Break one thing at each of these moments of the monotonic clock, in an order that the seed decides."""
    struck = []
    order = random.Random(seed).sample(sorted(FAULTS), len(FAULTS))
    for what, at_s in zip(cycle(order), times_s, strict=False):
        if platform.stopping.wait(max(0.0, at_s - time.monotonic())):
            break
        fault = Fault(what, datetime.now(UTC))
        tell(f"fault: {what}")
        try:
            FAULTS[what](platform)
        except (psutil.Error, psycopg.Error, redis.RedisError) as error:
            tell(f"this was not possible: {error}")
        else:
            struck.append(fault)
    return struck


def recoveries(
    faults: Sequence[Fault], segments: Sequence[tuple[datetime, datetime]], ended_at: datetime
) -> list[Recovery]:
    """Return what each fault held up, by when segments began and when they were stored.

    A segment is usually stored the same time after it began. One that came later than that was due in the time of some
    fault, which goes until the next one.
    """
    if not segments:
        return []
    usual = timedelta(seconds=statistics.median((stored - began).total_seconds() for began, stored in segments))
    found = []
    ends = [*(fault.at for fault in faults), ended_at][1:]
    for fault, until_at in zip(faults, ends, strict=True):
        due = [(began + usual, stored) for began, stored in segments if fault.at <= began + usual + LATE < until_at]
        held_up = [stored for due_at, stored in due if stored - due_at > LATE]
        latest_s = max(((stored - due_at).total_seconds() for due_at, stored in due), default=0.0)
        after_s = max(((stored - fault.at).total_seconds() for stored in held_up), default=0.0)
        found.append(Recovery(fault.what, len(held_up), latest_s, after_s))
    return found
