"""Exits with 0 when the worker of this container has a connection to Redis, over which it hears of runs."""

import os
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

ESTABLISHED = "01"
REDIS_PORT = 6379


def main() -> None:
    """Look for an established connection to the port of Redis in this container's network."""
    url = urlsplit(os.environ["BANDWATCH_WORKER_REDIS_URL"])
    port = url.port or REDIS_PORT
    if not any(connected(path, port) for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists()):
        sys.exit(f"the worker of {socket.gethostname()} has no connection to Redis at {url.hostname}:{port}")


def connected(table: Path, port: int) -> bool:
    """Tell whether a table of the kernel lists an established connection to a port."""
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return any(row[3] == ESTABLISHED and int(row[2].rpartition(":")[2], 16) == port for row in rows)


if __name__ == "__main__":
    main()
