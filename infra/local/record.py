"""stack.json: what runs from a data folder, for tests and other commands, and for the next start after a crash."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

_GRACE_S: Final = 5.0
_SAME_MOMENT_S: Final = 1.0
_TICK_S: Final = 0.05


class StackRecord(BaseModel):
    """The content of stack.json."""

    model_config = ConfigDict(frozen=True)

    address: str
    """Where the coordinator listens."""
    supervisor_pid: int
    """Process that started the programs."""
    pids: dict[str, int]
    """Process of each program, in the order of their start."""
    create_times_s: dict[str, float]
    """When each process began, in seconds of Unix time: a number alone may have passed on to a stranger."""

    @classmethod
    def of(cls, address: str, supervisor_pid: int, pids: dict[str, int]) -> Self:
        """Describe programs that run now."""
        return cls(
            address=address,
            supervisor_pid=supervisor_pid,
            pids=pids,
            create_times_s={
                name: create_time_s for name, pid in pids.items() if (create_time_s := _create_time_s(pid))
            },
        )

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """Return the record of a data folder, or None when nothing was started from it or all of it was stopped."""
        try:
            return cls.model_validate_json((data_dir / "stack.json").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, data_dir: Path) -> None:
        """Replace the record of a data folder at once."""
        unfinished = data_dir / "stack.json.unfinished"
        unfinished.write_text(self.model_dump_json(indent=2) + "\n")
        unfinished.rename(data_dir / "stack.json")

    @staticmethod
    def remove(data_dir: Path) -> None:
        """Say that nothing runs from a data folder any more."""
        (data_dir / "stack.json").unlink(missing_ok=True)

    def end_leftovers(self, grace_s: float = _GRACE_S) -> list[str]:
        """End those programs that still run, the latest first, and return their names; kill them after the grace."""
        return [name for name in reversed(self.pids) if self._end(name, grace_s)]

    def _end(self, name: str, grace_s: float) -> bool:
        pid = self.pids[name]
        begun_s, recorded_s = _create_time_s(pid), self.create_times_s.get(name)
        if begun_s is None or recorded_s is None or abs(begun_s - recorded_s) > _SAME_MOMENT_S:
            return False
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            process.terminate()
            if not _ends(process, grace_s):
                process.kill()
                _ends(process, grace_s)
        return True


def _create_time_s(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None


def _ends(process: psutil.Process, grace_s: float) -> bool:
    # A zombie has ended: it only waits for its parent, which here may be one that never asks.
    deadline_s = time.monotonic() + grace_s
    pause = threading.Event()
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline_s:
            return False
        pause.wait(_TICK_S)
    return True
