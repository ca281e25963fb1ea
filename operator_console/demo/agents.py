"""Agents of a demo as processes of their own, as they run on observers."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bandwatch.errors import UnavailableError

STOP_GRACE_S = 15.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Many agents share this machine: each keeps to one thread."""
_LAST_WORDS = 1500


class Agent:
    """One running agent."""

    def __init__(self, name: str, settings: Mapping[str, object], log: Path) -> None:
        self.name = name
        self._log = log
        environment = {f"BANDWATCH_AGENT_{key.upper()}": str(value) for key, value in settings.items()}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "observer_agent", "run"],
                env={**os.environ, **_ONE_THREAD, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether the agent has ended.

        Raises:
            UnavailableError: It failed; the sentence holds the end of its log.
        """
        code = self._process.poll()
        if code not in {None, 0, -signal.SIGTERM}:
            tail = self._log.read_text(errors="replace")[-_LAST_WORDS:]
            raise UnavailableError(f"the agent of {self.name} ended with code {code}; its last words:\n{tail}")
        return code is not None

    def ask_to_stop(self) -> None:
        """Ask the agent to stop."""
        if self._process.poll() is None:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until the agent has ended; end it by force when it takes too long."""
        try:
            self._process.wait(STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_agents(settings: Mapping[str, Mapping[str, object]], logs: Path) -> Iterator[list[Agent]]:
    """Run one agent for each entry (a name and its settings) until the block ends."""
    agents: list[Agent] = []
    try:
        agents.extend(Agent(name, chosen, logs / f"agent-{name}.log") for name, chosen in settings.items())
        yield agents
    finally:
        for agent in agents:
            agent.ask_to_stop()
        for agent in agents:
            agent.wait()


def wait_for_all(agents: list[Agent], pause: threading.Event, within_s: float) -> Iterator[int]:
    """Yield how many agents have ended, until all have.

    Raises:
        UnavailableError: One failed, or they took too long.
    """
    waited_s, step_s = 0.0, 0.25
    while True:
        ended = sum(agent.ended for agent in agents)
        yield ended
        if ended == len(agents):
            return
        if waited_s > within_s:
            late = ", ".join(agent.name for agent in agents if not agent.ended)
            raise UnavailableError(f"these agents were not done within {within_s:.0f} s: {late}")
        pause.wait(step_s)
        waited_s += step_s
