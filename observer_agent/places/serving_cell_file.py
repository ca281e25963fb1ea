"""The serving cell as something else on this machine reports it: a modem tool writes its name into a file."""

import os
from pathlib import Path
from typing import Final

import structlog

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from observer_agent.places.positions import ServingCell

_LONGEST_BYTES: Final = 200
_log: Final = structlog.stdlib.get_logger()


class ServingCellFile:
    """Reads a file of one line: the cell's identifier, or its full name. It may be rewritten at any time.

    A line without its end is one that is being written, so it says nothing yet.
    """

    def __init__(self, path: Path) -> None:
        self.description = f"serving cell in {path}"
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._seen: ServingCell | None = None

    def at(self, _stream_s: float) -> ServingCell | None:
        """Return the cell that the file names now; None while it names none."""
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - asked ten times a second, so without a Path in between
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if state != self._state:
                self._seen = self._parse(self._path.read_bytes()[:_LONGEST_BYTES])
                self._state = state
        except OSError:
            self._seen, self._state = None, None
        return self._seen

    def close(self) -> None:
        """Hold nothing."""

    def _parse(self, content: bytes) -> ServingCell | None:
        line, end, _ = content.decode("ascii", errors="replace").partition("\n")
        word = line.strip().removeprefix(f"{names.cells.word}/")
        if not end or not word:
            return None
        try:
            return ServingCell(names.cells.name(word))
        except InvalidArgumentError as error:
            _log.warning("the reported serving cell is no name of a cell", file=str(self._path), fault=error.message)
            return None
