"""A small server that speaks the JSON protocol of gpsd: what tests of its client talk to, over real TCP."""

import json
import queue
import socket
import threading
from contextlib import suppress
from typing import Any


class GpsdServer:
    """Greets whoever connects, waits for WATCH, and sends what the test hands over. Serves one client at a time."""

    def __init__(self, port: int = 0) -> None:
        self._listening = socket.create_server(("127.0.0.1", port), reuse_port=False)
        self.port: int = self._listening.getsockname()[1]
        self.watches: queue.Queue[dict[str, Any]] = queue.Queue()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def report(self, **fields: Any) -> None:
        """Send an object, such as a time-position-velocity report."""
        self.send(json.dumps(fields).encode() + b"\r\n")

    def send(self, content: bytes) -> None:
        """Send bytes as they are."""
        assert self._connection is not None
        self._connection.sendall(content)

    def hang_up(self) -> None:
        """End the connection; the client may come again."""
        assert self._connection is not None
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        if self._connection is not None:
            self._connection.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, suppress(ConnectionError):
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        connection.sendall(b'{"class":"VERSION","release":"3.25","proto_major":3,"proto_minor":15}\r\n')
        with connection.makefile("rb") as lines:
            for line in lines:
                self._connection = connection
                command, _, content = line.decode().strip().rstrip(";").partition("=")
                assert command == "?WATCH"
                self.watches.put(json.loads(content))
