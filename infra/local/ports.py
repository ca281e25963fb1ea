"""TCP ports of this machine."""

import errno
import socket
from typing import Final

from bandwatch.errors import FailedPreconditionError

LOOPBACK: Final = "127.0.0.1"
LARGEST_PORT: Final = 65_535


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def claim_port(port: int) -> int:
    """Return the port, or a free one for 0.

    Raises:
        FailedPreconditionError: Another program listens there, or this user may not.
    """
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        # Connections of a stack that just stopped linger; only a listener is in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise FailedPreconditionError(
                    f"port {port} is in use by another program; choose another with --port or stop it"
                ) from error
            raise FailedPreconditionError(f"port {port} cannot be used ({error.strerror}); choose another") from error
    return port
