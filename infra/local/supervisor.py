"""Starts programs one after another, restarts those that die, and stops all of them in reverse order."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bandwatch.errors import NotFoundError, UnavailableError
from infra.local.child import Child, Program

_START_TIMEOUT_S: Final = 60.0
_TICK_S: Final = 0.05


@dataclass(frozen=True)
class RestartPolicy:
    """When a program that died is started again, and when to give up."""

    delay_s: float = 1.0
    deaths: int = 5
    """So many deaths within `within_s` mean that starting it again will not help."""
    within_s: float = 60.0


class Supervisor:
    """Holds the running programs. Any thread may call it; `watch` belongs into one of them."""

    def __init__(
        self,
        logs: Path,
        announce: Callable[[str], None],
        on_change: Callable[[], None],
        policy: RestartPolicy | None = None,
    ) -> None:
        self._logs = logs
        self._announce = announce
        self._on_change = on_change
        self._policy = policy or RestartPolicy()
        self._children: dict[str, Child] = {}
        self._lock = threading.RLock()

    @property
    def children(self) -> tuple[Child, ...]:
        """The programs in the order in which they were started."""
        return tuple(self._children.values())

    def child(self, name: str) -> Child:
        """Return a program by its name.

        Raises:
            NotFoundError: This stack started no such program.
        """
        if name not in self._children:
            raise NotFoundError(f"this stack runs no {name!r}; it runs {', '.join(self._children) or 'nothing'}")
        return self._children[name]

    def start(self, program: Program, stop: threading.Event) -> None:
        """Start a program and wait until it is healthy, or until stop is set.

        Raises:
            UnavailableError: It ended, or did not become healthy in time.
        """
        with self._lock:
            child = self._children[program.name] = Child(program, self._logs)
            self._on_change()
        self._wait_until_healthy(child, stop)

    def run_to_end(self, program: Program, stop: threading.Event) -> None:
        """Run a program that does its work and ends; stop it early when stop is set.

        Raises:
            UnavailableError: It failed.
        """
        child = Child(program, self._logs)
        while child.is_running and not stop.wait(_TICK_S):
            pass
        if child.is_running:
            child.stop()
        elif child.ending != "exit status 0":
            raise UnavailableError(f"{program.name} failed ({child.ending}). {_log_of(child)}")

    def restart(self, name: str) -> None:
        """Stop a program, start it again and wait until it is healthy.

        Raises:
            NotFoundError: This stack started no such program.
            UnavailableError: It did not come back.
        """
        with self._lock:
            child = self.child(name)
            child.stop()
            child.start()
            self._on_change()
        self._wait_until_healthy(child, threading.Event())

    def watch(self, stop: threading.Event) -> None:
        """Restart what dies until stop is set.

        Raises:
            UnavailableError: A program keeps dying.
        """
        while not stop.wait(_TICK_S):
            with self._lock:
                for child in self.children:
                    self._tend(child)

    def stop(self) -> None:
        """Stop every program, the latest one first."""
        with self._lock:
            for child in reversed(self.children):
                self._announce(f"stopping {child.name}")
                child.stop()
                del self._children[child.name]

    def _tend(self, child: Child) -> None:
        if child.is_running:
            return
        now_s = time.monotonic()
        if child.restart_at_s is None:
            self._bury(child, now_s)
        elif now_s >= child.restart_at_s:
            child.start()
            self._on_change()
            self._announce(f"{child.name} was started again")

    def _bury(self, child: Child, now_s: float) -> None:
        child.kill_group()
        self._announce(f"{child.name} died ({child.ending}). {_log_of(child)}")
        recent = [death_s for death_s in child.deaths_s if death_s > now_s - self._policy.within_s]
        child.deaths_s = [*recent, now_s]
        if len(child.deaths_s) >= self._policy.deaths:
            raise UnavailableError(
                f"{child.name} died {len(child.deaths_s)} times within {self._policy.within_s:.0f} s, "
                f"so the platform stops: read {child.log_file}"
            )
        child.restart_at_s = now_s + self._policy.delay_s

    def _wait_until_healthy(self, child: Child, stop: threading.Event) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not stop.is_set():
            if not child.is_running:
                raise UnavailableError(f"{child.name} ended while it started ({child.ending}). {_log_of(child)}")
            if child.program.is_healthy():
                return
            if time.monotonic() > deadline_s:
                raise UnavailableError(f"{child.name} was not ready after {_START_TIMEOUT_S:.0f} s. {_log_of(child)}")
            stop.wait(_TICK_S)


def _log_of(child: Child) -> str:
    tail = child.log_tail()
    return f"The end of its log {child.log_file}:\n{tail}" if tail else f"Its log {child.log_file} is empty."
