"""Positions from gpsd, by its JSON protocol over TCP (gpsd_json(5), protocol 3)."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from math import hypot
from typing import Annotated, Final, Literal

import structlog
from pydantic import BaseModel, Field, ValidationError

from observer_agent.places.positions import Fix

_WATCH: Final = b"?WATCH=" + json.dumps({"enable": True, "json": True}).encode() + b";\n"
_LONGEST_LINE_BYTES: Final = 1 << 16
"""gpsd promises lines of 1,536 characters, and some versions go on to 10,000; more is something else."""
_CONNECT_S: Final = 5.0
_LEAST_MODE: Final = 2
_log: Final = structlog.stdlib.get_logger()


class _Report(BaseModel):
    """A time-position-velocity report; other classes are passed over. Modes 2 and 3 have a position."""

    kind: Literal["TPV"] = Field(alias="class")
    mode: int
    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    eph: Annotated[float, Field(ge=0, le=1e7)] | None = None
    epx: Annotated[float, Field(ge=0, le=1e7)] | None = None
    epy: Annotated[float, Field(ge=0, le=1e7)] | None = None
    speed: Annotated[float, Field(ge=0, le=400)] | None = None
    track: Annotated[float, Field(ge=0, le=360)] | None = None


class GpsdPositions:
    """Listens to gpsd in a thread of its own, and connects again when it goes away."""

    def __init__(self, host: str, port: int, *, timeout_s: float, retry_s: float = 2.0) -> None:
        self.description = f"gpsd at {host}:{port}"
        self._address = (host, port)
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._latest: tuple[float, Fix] | None = None
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._listen, name="gpsd", daemon=True)
        self._thread.start()

    def at(self, _stream_s: float) -> Fix | None:
        """Return the newest position, unless it is too old to say where the observer is."""
        latest = self._latest
        if latest is None or time.monotonic() - latest[0] > self._timeout_s:
            return None
        return latest[1]

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        with suppress(OSError, AttributeError):  # it may just be between two connections
            self._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr] # None raises AttributeError
        self._thread.join()

    def _listen(self) -> None:
        fault = ""
        while not self._stop.is_set():
            try:
                with socket.create_connection(self._address, timeout=_CONNECT_S) as connection:
                    self._socket = connection
                    fault = self._hear(connection)
            except OSError as error:
                if str(error) != fault:
                    _log.warning("gpsd does not answer; trying again", source=self.description, fault=str(error))
                fault = str(error)
            self._socket = None
            self._stop.wait(self._retry_s)

    def _hear(self, connection: socket.socket) -> str:
        """Take positions until the connection ends."""
        connection.settimeout(self._timeout_s)
        connection.sendall(_WATCH)
        _log.info("gpsd answers", source=self.description)
        for line in _lines(connection):
            fix = parse_report(line)
            if fix is not None:
                self._latest = time.monotonic(), fix
            if self._stop.is_set():
                break
        return ""


def _lines(connection: socket.socket) -> Iterator[bytes]:
    """Yield lines until the other side ends them.

    Raises:
        OSError: The connection broke, fell silent, or a line is longer than any that gpsd writes.
    """
    held = b""
    while part := connection.recv(4096):
        *lines, held = (held + part).split(b"\n")
        yield from lines
        if len(held) > _LONGEST_LINE_BYTES:
            raise OSError("the other side does not speak as gpsd does")


def parse_report(line: bytes) -> Fix | None:
    """Return the position that a line of gpsd reports; None where it is of another class, or has none."""
    try:
        report = _Report.model_validate_json(line)
    except ValidationError:
        return None
    if report.mode < _LEAST_MODE:
        return None
    accuracy_m = report.eph
    if accuracy_m is None and report.epx is not None and report.epy is not None:
        accuracy_m = hypot(report.epx, report.epy)
    heading = None if report.track is None else report.track % 360
    return Fix(report.lat, report.lon, accuracy_m, report.speed, heading)
