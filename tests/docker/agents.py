"""An observer's agent in containers: one that listens, and others before and after it on the same volume."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from infra.docker.commands import run
from observer_agent.agent.status import AgentStatus
from tests.integration.platforms import CARRIER_HZ, until

CONFINED: Final = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
STATE: Final = "/var/lib/bandwatch"
_RADIO: Final = "/etc/bandwatch"
_SETTINGS: Final = {"RETRY_CAP_S": "1", "FALSE_ALARM_RATE": "0.001"}
"""Agents come back soon, and a model of a few seconds flags little by mistake."""

Mobility = Literal["static", "walking", "driving"]


class Agent:
    """One observer: its volume, what its receiver hears, and the container that listens."""

    def __init__(self, project: str, image: str, observer: str, folder: Path) -> None:
        self.observer = observer
        self.container = f"{project}-{observer}"
        self.network = f"{project}_outside"
        self._project = project
        self._image = image
        self._radio = folder / observer
        self._radio.mkdir()
        self._radio.chmod(0o755)

    def hears(self, cell_identity: int, mobility: Mobility, seed: int) -> None:
        """Say what its receiver hears from its next start on: a small cell, without end."""
        self._write("cell.json", simulated_cell(cell_identity, mobility, seed))

    def hears_besides(self, timetable: Sequence[Mapping[str, object]]) -> None:
        """Say what is mixed in from its next start on."""
        self._write("anomalies.json", timetable)

    def _write(self, name: str, content: object) -> None:
        (self._radio / name).write_text(json.dumps(content))

    def enrol(self, token: str) -> None:
        """Let it become its observer."""
        words = ("enroll", "--coordinator", "coordinator:50051", "--token", token)
        run("docker", "run", "--rm", *self._options(), self._image, *words)

    def prepare(self, *words: str, options: Sequence[str] = (), **settings: str) -> None:
        """Make a container that listens once it is started."""
        environment = (f"--env=BANDWATCH_AGENT_{name}={value}" for name, value in (_SETTINGS | settings).items())
        made = ("docker", "create", f"--name={self.container}", *environment, *options, *self._options())
        run(*made, self._image, "run", "--simulate", f"{_RADIO}/cell.json", *words)

    def start(self) -> None:
        """Start the container that was prepared."""
        run("docker", "start", self.container)

    def listen(self, *words: str, options: Sequence[str] = (), **settings: str) -> None:
        """Start to listen, at the speed of the air unless told otherwise."""
        self.prepare(*words, options=options, **settings)
        self.start()

    def _options(self) -> tuple[str, ...]:
        volumes = (f"--volume={self.container}:{STATE}", f"--volume={self._radio}:{_RADIO}:ro")
        return *CONFINED, f"--network={self.network}", f"--label={self._project}", *volumes

    def end(self) -> None:
        """Stop it as a service manager does; its volume stays."""
        run("docker", "stop", "--time=30", self.container)
        run("docker", "rm", self.container)

    def hear(self, seconds: float, *, options: Sequence[str] = ()) -> AgentStatus:
        """Hear more of its cell as fast as it can, deliver everything, end, and return what it said last."""
        self.prepare_to_hear(seconds, options=options)
        self.start()
        return self.ended()

    def prepare_to_hear(self, seconds: float, *, options: Sequence[str] = (), **settings: str) -> None:
        """Make a container that hears so much of its cell as fast as it can, delivers everything, and ends."""
        cell = json.loads((self._radio / "cell.json").read_text())
        self._write("cell.json", {**cell, "seconds": seconds})
        self.prepare("--exit-at-end", "--pace=fast", options=options, **settings)

    def ended(self) -> AgentStatus:
        """Wait until its container has ended well, remove it, and return what it said last."""
        until(self._has_ended_well, f"{self.observer} has delivered everything")
        run("docker", "rm", self.container)
        told = run("docker", "run", "--rm", *self._options(), "--entrypoint=cat", self._image, f"{STATE}/status.json")
        return AgentStatus.model_validate_json(told)

    def _has_ended_well(self) -> bool:
        state = run("docker", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", self.container).split()
        assert state[0] == "running" or state == ["exited", "0"], f"{self.observer} ended:\n{self.said()[-3000:]}"
        return state[0] == "exited"

    def status(self) -> AgentStatus:
        """Return what it says of itself while it runs."""
        told = run("docker", "exec", self.container, "cat", f"{STATE}/status.json")
        return AgentStatus.model_validate_json(told)

    def said(self) -> str:
        """Return what it has logged since its container started."""
        return run("docker", "logs", self.container)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Take it off the network until the block ends."""
        run("docker", "network", "disconnect", self.network, self.container)
        try:
            yield
        finally:
            run("docker", "network", "connect", self.network, self.container)

    def delivered(self) -> AgentStatus:
        """Wait for a moment at which everything that it ever made has come to its end, and return what it said then."""
        seen: list[AgentStatus] = []

        def nothing_waits() -> bool:
            seen.append(self.status())
            return held(seen[-1]) == 0

        until(nothing_waits, f"nothing waiting at {self.observer}")
        return seen[-1]


def held(status: AgentStatus) -> int:
    """Return how many things wait for delivery."""
    return status.spool_segments + status.spool_anomalies + status.spool_events + status.spool_statistics


def simulated_cell(cell_identity: int, mobility: Mobility = "static", seed: int = 0) -> dict[str, object]:
    """Return the file of a cell that costs little to simulate."""
    return {
        "cell_identity": cell_identity,
        "resource_blocks": 6,
        "carrier_hz": CARRIER_HZ,
        "mobility": mobility,
        "seed": seed,
    }
