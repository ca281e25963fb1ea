"""The platform of infra/compose.yaml in containers, what may break in it, and what must hold afterwards."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.wire.v1.spectrum_pb2 import MOBILITY_STATIC, PURPOSE_TRAINING
from infra.docker.commands import run
from infra.docker.make_secrets import make_secrets
from infra.docker.with_engine import compose_command
from infra.local.ports import free_port
from operator_console.coordinator_client import AdminClient
from tests.integration.platforms import CARRIER_HZ, until

COMPOSE_FILE: Final = Path(__file__).resolve().parents[2] / "infra/compose.yaml"
OBSERVERS: Final = ("roof", "mast")
CELL: Final = "cells/oak"
CONFINED: Final = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
_SETTINGS: Final = {"LEASE_S": 10, "REPUBLISH_S": 2, "STUDENT_DATA_S": 16, "TEACHER_DATA_S": 16, "POLL_S": 5}
"""What is to come back is looked for soon, and a run is small."""
_WANTED: Final = timedelta(hours=2)
"""Radio for training that each agent keeps: more than any test lasts."""
_STORED: Final = ("segments", "anomalies", "events", "statistics")


class Stack:
    """The running containers: those of Compose, and agents beside them."""

    def __init__(self, project: str, folder: Path, images: Mapping[str, str]) -> None:
        self.project = project
        self._images = images
        self._folder = folder
        self._secrets = folder / "secrets"
        self._ports = free_port(), free_port()
        make_secrets(self._secrets)
        settings = (f"BANDWATCH_COORDINATOR_{name}={value}\n" for name, value in _SETTINGS.items())
        (folder / "coordinator.env").write_text("".join(settings))
        self.cell_file = folder / "cell.json"
        self.cell_file.write_text(json.dumps({"cell_identity": 5, "resource_blocks": 6, "carrier_hz": CARRIER_HZ}))
        for path in (self.cell_file, folder):
            path.chmod(0o755)

    def compose(self, *words: str) -> str:
        """Run a command of Compose on this stack."""
        environment = {
            **os.environ,
            "BANDWATCH_SECRETS": str(self._secrets),
            "BANDWATCH_SETTINGS_FILE": str(self._folder / "coordinator.env"),
            "BANDWATCH_SIMULATED_CELL": str(self.cell_file),
            "BANDWATCH_PORT": str(self._ports[0]),
            "BANDWATCH_MEMBER_PORT": str(self._ports[1]),
            **{f"BANDWATCH_{name.upper()}_IMAGE": image for name, image in self._images.items()},
        }
        command = (*compose_command(), "--file", str(COMPOSE_FILE), "--project-name", self.project)
        return run(*command, *words, environment=environment)

    def container(self, service: str) -> str:
        """Return the id of the container of a service, also while it does not run."""
        label = f"label=com.docker.compose.service={service}"
        mine = f"label=com.docker.compose.project={self.project}"
        return run("docker", "ps", "--all", "--quiet", "--filter", label, "--filter", mine).strip()

    def is_healthy(self, service: str) -> bool:
        """Tell whether a service's container says that it is healthy."""
        return run("docker", "inspect", "--format", "{{.State.Health.Status}}", self.container(service)) == "healthy\n"

    def is_running(self, service: str) -> bool:
        """Tell whether a service's container runs."""
        return run("docker", "inspect", "--format", "{{.State.Running}}", self.container(service)) == "true\n"

    def operator(self) -> AdminClient:
        """Open a client of the first operator, over the proxy."""
        token = (self._secrets / "operator.token").read_text().strip()
        return AdminClient(f"127.0.0.1:{self._ports[0]}", token, (self._secrets / "authorities.pem").read_bytes())

    def enrol(self, observer: str, token: str) -> None:
        """Let an agent become an observer."""
        words = ("enroll", "--coordinator", "coordinator:50051", "--token", token)
        self._agent(observer, words, "--rm")

    def listen(self, observer: str) -> None:
        """Start an agent that hears a small cell without end, at the speed of the air."""
        words = ("run", "--simulate", "/etc/bandwatch/cell.json")
        name = f"--name={self.project}-{observer}"
        self._agent(observer, words, "--detach", name, "--env=BANDWATCH_AGENT_RETRY_CAP_S=1")

    def start_simulated(self, token: str) -> None:
        """Start the observer that Compose has for trying things out, with a join token."""
        (self._secrets / "observer.token").write_text(token)
        self.compose("--profile", "simulated", "up", "--detach", "--no-deps", "observer")

    def status(self, observer: str) -> dict[str, str]:
        """Return what an agent says of itself, by name."""
        lines = self._agent(observer, ("status",), "--rm").splitlines()
        return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}

    def deliver(self, observer: str) -> None:
        """Stop an agent, and let another one on the same volume deliver what it left and end."""
        name = f"{self.project}-{observer}"
        run("docker", "stop", "--time=30", name)
        run("docker", "rm", name)
        words = ("run", "--simulate", "/etc/bandwatch/last.json", "--exit-at-end", "--pace", "fast")
        last = self._folder / "last.json"
        last.write_text(json.dumps({**json.loads(self.cell_file.read_text()), "seconds": 0.2}))
        self._agent(observer, words, "--rm", f"--volume={last}:/etc/bandwatch/last.json:ro")

    def stored_numbers(self, observer: str) -> list[int]:
        """Return the number that an observer gave to each thing that the database holds of it."""
        queries = (f"SELECT sequence FROM {table} WHERE observer_id = '{observer}'" for table in _STORED)  # noqa: S608
        return [int(line) for line in self.query(" UNION ALL ".join(queries)).split()]

    def query(self, query: str) -> str:
        """Ask the database."""
        psql = ("psql", "--host=/var/run/postgresql", "--username=bandwatch", "--no-align", "--tuples-only")
        return run(
            *("docker", "exec", "--env", f"PGPASSWORD={self._password}", self.container("postgres"), *psql),
            *("--command", query),
        )

    @property
    def _password(self) -> str:
        return (self._secrets / "postgres.password").read_text().strip()

    def _agent(self, observer: str, words: tuple[str, ...], *options: str) -> str:
        return run(
            *("docker", "run", *CONFINED, *options, f"--network={self.project}_outside"),
            *(f"--label={self.project}", f"--volume={self.project}-{observer}:/var/lib/bandwatch"),
            *(f"--volume={self.cell_file}:/etc/bandwatch/cell.json:ro", self._images["agent"], *words),
        )

    def close(self) -> None:
        """Remove every container, network and volume of this stack."""
        for container in run("docker", "ps", "--all", "--quiet", "--filter", f"label={self.project}").split():
            run("docker", "rm", "--force", "--volumes", container)
        self.compose("--profile", "simulated", "down", "--volumes", "--timeout", "2")
        for volume in run("docker", "volume", "ls", "--quiet", "--filter", f"name={self.project}-").split():
            run("docker", "volume", "rm", volume)

    def logs(self) -> str:
        """Return the last lines of every container."""
        names = run("docker", "ps", "--all", "--format", "{{.Names}}", "--filter", f"name={self.project}").split()
        return "\n".join(f"== {name}\n{run('docker', 'logs', '--tail=15', name)}" for name in names)


@contextmanager
def running_stack(folder: Path, images: Mapping[str, str]) -> Iterator[Stack]:
    """Run a stack until the block ends; where it fails, print what the containers said."""
    stack = Stack(f"bandwatch-test-{os.getpid()}", folder, images)
    try:
        stack.compose("up", "--detach")
        until(lambda: all(map(stack.is_healthy, ("proxy", "worker-1", "worker-2"))), "every service healthy")
        yield stack
    except BaseException:
        print(stack.logs())  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        stack.close()


def register_observers(stack: Stack, client: AdminClient) -> None:
    """Register a band with a cell, and observers of it that enrol and listen."""
    client.create_band("north", center_hz=CARRIER_HZ, width_hz=1.92e6)
    client.create_cell("oak", band="bands/north")
    for observer in OBSERVERS:
        stack.enrol(observer, register(client, observer))
        stack.listen(observer)


def register(client: AdminClient, observer: str) -> str:
    """Register an observer of the cell, and return its join token."""
    _, token = client.create_observer(
        observer, cell=CELL, mobility=MOBILITY_STATIC, training_target=_WANTED, trusted=True
    )
    return token


def acknowledged(stack: Stack, observer: str) -> int:
    """Return how many things of an agent the coordinators have taken."""
    return int(stack.status(observer)["spool_acknowledged"])


def assert_nothing_lost(stack: Stack, client: AdminClient) -> int:
    """Let every agent deliver, compare what it made with what the coordinators hold, and return how many things.

    Every frame that an agent kept for training is there, and no number is there twice. Where events were reported, a
    newer report replaces the one before, whose number then is not there.
    """
    count = 0
    for observer in OBSERVERS:
        stack.deliver(observer)
        status = stack.status(observer)
        made, numbers = int(status["spool_made"]), stack.stored_numbers(observer)
        assert int(status["spool_acknowledged"]) == made
        assert {status[f"spool_{fate}"] for fate in ("evicted", "refused", "damaged")} == {"0"}
        training = client.list_segments(observer=f"observers/{observer}", purpose=PURPOSE_TRAINING)
        stored_s = sum(segment.frame_count for segment in training) * FRAME_SECONDS
        assert abs(stored_s - float(status["training_s"])) < FRAME_SECONDS / 2
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= set(range(1, made + 1))
        events = stack.query(f"SELECT count(*) FROM events WHERE observer_id = '{observer}'")  # noqa: S608
        assert int(events) or len(numbers) == made
        count += len(numbers)
        stack.listen(observer)
    return count
