"""One program that the local stack runs: started, looked at and stopped."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_GRACE_S: Final = 10.0
_SHOWN_LINES: Final = 12
_READ_BYTES: Final = 8192


@dataclass(frozen=True)
class Program:
    """How a program is run, and how it is known to be ready."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the environment of this process."""
    is_healthy: Callable[[], bool] = lambda: True
    """Asked again and again while the program runs, until it says yes."""
    stop_signal: signal.Signals = signal.SIGTERM
    run_as: str | None = None
    """User to become; only root can."""


class Child:
    """A program that runs in its own session, so that Ctrl-C in the terminal reaches only the stack."""

    def __init__(self, program: Program, logs: Path) -> None:
        self.program = program
        self.log_file = logs / f"{program.name}.log"
        self.deaths_s: list[float] = []
        """Monotonic moments at which it was found dead."""
        self.restart_at_s: float | None = None
        """Monotonic moment at which it is to be started again; None while it runs."""
        self.start()

    def start(self) -> None:
        """Start the program; its output goes to the end of its log."""
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the commands are composed in this package
                [*_as_user(self.program.run_as), *self.program.command],
                env={**os.environ, **self.program.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.restart_at_s = None

    @property
    def name(self) -> str:
        """Name of the program."""
        return self.program.name

    @property
    def pid(self) -> int:
        """Process number of the latest start."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How the program ended, for people."""
        status = self._process.poll()
        if status is None:
            return "still running"
        return f"signal {-status}, {signal.strsignal(-status)}" if status < 0 else f"exit status {status}"

    def log_tail(self) -> str:
        """Return the last lines that the program wrote since its latest start."""
        with self.log_file.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _READ_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:])

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program, if it still runs."""
        self._process.send_signal(number)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Ask the program to end, kill it after the grace, and kill what it left behind in its process group."""
        self.send(self.program.stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill_group()

    def kill_group(self) -> None:
        """Kill whatever is left of the program and of the processes that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def _as_user(user: str | None) -> list[str]:
    """Return what to put before a command so that it runs as another user; it replaces itself by the command.

    Popen could change the user itself, but then it forks, and a fork of a process in which gRPC's threads work is not
    safe: a child was seen to die of a segmentation fault before it became PostgreSQL. Without that, Popen uses vfork.
    """
    return [] if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"]
