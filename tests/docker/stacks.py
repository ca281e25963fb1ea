"""The platform of infra/compose.yaml in containers with six observers of two cells, and what must hold in it."""

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED
from bandwatch.wire.v1.spectrum_pb2 import PURPOSE_TRAINING, Mobility
from infra.docker.commands import run, succeeds
from infra.docker.make_secrets import make_secrets
from infra.docker.with_engine import compose_command
from infra.local.ports import free_port
from observer_agent.agent.status import AgentStatus
from operator_console.coordinator_client import AdminClient
from tests.docker import agents
from tests.docker.agents import Agent, simulated_cell
from tests.integration.platforms import CARRIER_HZ, until

COMPOSE_FILE: Final = Path(__file__).resolve().parents[2] / "infra/compose.yaml"
CELLS: Final = {"oak": 5, "elm": 99}
"""The physical identity of each cell."""
SPARE_CELL: Final = "ash"
"""Of a band for which no model is made."""
_SETTINGS: Final = {"LEASE_S": 10, "REPUBLISH_S": 2, "STUDENT_DATA_S": 24, "TEACHER_DATA_S": 48, "POLL_S": 5}
"""What is to come back is looked for soon, and a run is small."""
_ENOUGH_TO_TRAIN: Final = 3
_WANTED: Final = timedelta(hours=2)
"""Radio for training that each agent keeps: more than any test lasts."""
_STORED: Final = ("segments", "anomalies", "events", "statistics")


@dataclass(frozen=True)
class Observer:
    """Where an observer is, how it moves, and where chance begins for it."""

    cell: str
    mobility: agents.Mobility
    seed: int


OBSERVERS: Final = {
    "roof": Observer("oak", "static", 1),
    "street": Observer("oak", "walking", 2),
    "van": Observer("oak", "driving", 3),
    "hill": Observer("elm", "static", 4),
    "lane": Observer("elm", "walking", 5),
    "bus": Observer("elm", "driving", 6),
}


class Stack:
    """The running containers: those of Compose, and agents beside them."""

    def __init__(self, project: str, folder: Path, images: Mapping[str, str]) -> None:
        self.project = project
        self.agents: dict[str, Agent] = {}
        """Of the six observers."""
        self._images = images
        self._folder = folder
        self._secrets = folder / "secrets"
        self._ports = free_port(), free_port()
        make_secrets(self._secrets)
        settings = (f"BANDWATCH_COORDINATOR_{name}={value}\n" for name, value in _SETTINGS.items())
        (folder / "coordinator.env").write_text("".join(settings))
        self.cell_file = folder / "cell.json"
        self.cell_file.write_text(json.dumps(simulated_cell(CELLS["oak"])))
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

    def serves(self, service: str) -> bool:
        """Tell whether a coordinator, asked now, says that it serves."""
        return succeeds("docker", "exec", self.container(service), "python3", "/opt/health.py")

    def trains(self, service: str) -> bool:
        """Tell whether a worker has a run in work."""
        return "execute" in run("docker", "top", self.container(service))

    @contextmanager
    def paused(self, service: str) -> Iterator[None]:
        """Freeze a service until the block ends: connections stand, nothing answers."""
        run("docker", "pause", self.container(service))
        try:
            yield
        finally:
            run("docker", "unpause", self.container(service))

    def operator(self) -> AdminClient:
        """Open a client of the first operator, over the proxy."""
        token = (self._secrets / "operator.token").read_text().strip()
        return AdminClient(f"127.0.0.1:{self._ports[0]}", token, (self._secrets / "authorities.pem").read_bytes())

    def new_agent(self, observer: str, token: str) -> Agent:
        """Return the agent of another observer, which has enrolled."""
        agent = Agent(self.project, self._images["agent"], observer, self._folder)
        agent.enrol(token)
        return agent

    def statuses(self) -> dict[str, AgentStatus]:
        """Return what each agent says of itself."""
        with ThreadPoolExecutor() as pool:
            return dict(zip(self.agents, pool.map(Agent.status, self.agents.values()), strict=True))

    def start_simulated(self, token: str) -> None:
        """Start the observer that Compose has for trying things out, with a join token."""
        (self._secrets / "observer.token").write_text(token)
        self.compose("--profile", "simulated", "up", "--detach", "--no-deps", "observer")

    @contextmanager
    def small_disk(self, observer: str, megabytes: int) -> Iterator[None]:
        """Make the volume of an agent one that holds so much, in memory, which a sleeping container keeps meanwhile."""
        options = ("type=tmpfs", "device=tmpfs", f"o=size={megabytes}m,uid=10001,mode=700")
        volume = f"{self.project}-{observer}"
        run("docker", "volume", "create", *(f"--opt={option}" for option in options), volume)
        keeping = ("--network=none", "--entrypoint=sleep", f"--label={self.project}")
        mount = f"--volume={volume}:{agents.STATE}"
        keeper = run("docker", "run", "--detach", *keeping, mount, self._images["agent"], "infinity").strip()
        try:
            yield
        finally:
            run("docker", "rm", "--force", keeper)

    def stored_numbers(self, observer: str) -> dict[str, list[int]]:
        """Return the number that an observer gave to each thing that the database holds of it, by kind."""
        queries = (
            f"SELECT '{table}', sequence FROM {table} WHERE observer_id = '{observer}'"  # noqa: S608
            for table in _STORED
        )
        numbers: dict[str, list[int]] = {table: [] for table in _STORED}
        for line in self.query(" UNION ALL ".join(queries)).splitlines():
            table, _, number = line.partition("|")
            numbers[table].append(int(number))
        return numbers

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

    def close(self) -> None:
        """Remove every container, network and volume of this stack."""
        mine = run("docker", "ps", "--all", "--quiet", "--filter", f"label={self.project}").split()
        if mine:
            run("docker", "rm", "--force", "--volumes", *mine)
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
        until(lambda: stack.is_healthy("proxy"), "the proxy healthy")
        yield stack
    except BaseException:
        print(stack.logs())  # noqa: T201 - pytest shows it with the failure
        raise
    finally:
        stack.close()


def register_observers(stack: Stack, client: AdminClient) -> None:
    """Register a band with two cells, three observers of each, whose agents enrol and listen, and the spare cell."""
    client.create_band("north", center_hz=CARRIER_HZ, width_hz=1.92e6)
    for cell in CELLS:
        client.create_cell(cell, band="bands/north")
    client.create_band("south", center_hz=CARRIER_HZ, width_hz=1.92e6)
    client.create_cell(SPARE_CELL, band="bands/south")

    def listening(name: str) -> Agent:
        observer = OBSERVERS[name]
        agent = stack.new_agent(name, register(client, name, observer.cell, observer.mobility))
        agent.hears(CELLS[observer.cell], observer.mobility, observer.seed)
        agent.listen()
        return agent

    with ThreadPoolExecutor() as pool:
        stack.agents = dict(zip(OBSERVERS, pool.map(listening, OBSERVERS), strict=True))


def register(client: AdminClient, observer: str, cell: str = "oak", mobility: agents.Mobility = "static") -> str:
    """Register an observer of a cell, and return its join token."""
    _, token = client.create_observer(
        observer,
        cell=f"cells/{cell}",
        mobility=Mobility.Value(f"MOBILITY_{mobility.upper()}"),
        training_target=_WANTED,
        trusted=True,
    )
    return token


def observers_of(cell: str) -> list[str]:
    """Return the observers of a cell."""
    return [name for name, observer in OBSERVERS.items() if observer.cell == cell]


def segments_of(client: AdminClient, observer: str) -> int:
    """Return how many segments of an observer are stored."""
    return client.segment_totals(observer=f"observers/{observer}").segments


def until_stored(client: AdminClient, observer: str, segments: int) -> None:
    """Wait until so many segments of an observer are stored."""
    until(lambda: segments_of(client, observer) >= segments, f"{segments} segments of {observer} stored")


def until_enough_to_train_is_stored(client: AdminClient) -> None:
    """Wait until some segments of each of the six observers are stored."""
    for observer in OBSERVERS:
        until_stored(client, observer, _ENOUGH_TO_TRAIN)


def until_succeeded(client: AdminClient, run: str) -> str:
    """Wait until a training run has succeeded, and return its model."""
    until(lambda: client.get_run(run).state == TRAINING_RUN_STATE_SUCCEEDED, f"{run} succeeded", 240)
    return client.get_run(run).model


def assert_nothing_lost(stack: Stack, client: AdminClient) -> int:
    """Compare what every agent made until now with what the coordinators hold, and return how many things."""
    with ThreadPoolExecutor() as pool:
        statuses = list(pool.map(Agent.delivered, stack.agents.values()))
        assert all(given_up(status) == 0 for status in statuses)
        return sum(pool.map(lambda status: assert_stored(stack, client, status), statuses))


def given_up(status: AgentStatus) -> int:
    """Return how many things an agent made and let go of undelivered."""
    return status.spool_evicted + status.spool_refused + status.spool_damaged


def assert_stored(stack: Stack, client: AdminClient, status: AgentStatus) -> int:
    """Compare what one agent had made and delivered at a moment with what the coordinators hold of it.

    Every thing is there once, apart from those that the agent counts as given up, and so is every frame that was kept
    for training. What was given up is there all the same where the answer to it came too late. Where events were
    reported, a newer report replaces the one before, whose number then is not there. Returns how many things there are.
    """
    made, observer = status.spool_made, status.observer.removeprefix("observers/")
    assert status.spool_acknowledged == made - given_up(status)
    stored = stack.stored_numbers(observer)
    numbers = [number for of_kind in stored.values() for number in of_kind]
    assert len(set(numbers)) == len(numbers)
    missing = set(range(1, made + 1)) - set(numbers)
    newest_report = max(stored["events"], default=0)
    unexplained = sorted(number for number in missing if number > newest_report)
    assert len(unexplained) <= given_up(status), f"{unexplained} are not stored: {status}"
    training = client.list_segments(observer=status.observer, purpose=PURPOSE_TRAINING)
    frames = sum(segment.frame_count for segment in training if segment.origin.sequence <= made)
    surplus_s = frames * FRAME_SECONDS - status.training_s
    assert surplus_s > -FRAME_SECONDS / 2
    assert given_up(status) or surplus_s < FRAME_SECONDS / 2
    return made - len(missing)
