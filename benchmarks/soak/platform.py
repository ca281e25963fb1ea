"""A platform with two coordinators behind one address that starts anew what dies, and a simulated fleet on it."""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from infra.local.child import Child, Program
from infra.local.data_folder import DataFolder
from infra.local.ports import LOOPBACK, free_port
from infra.local.postgres import LocalPostgres
from infra.local.programs import Addresses, coordinator_programs, worker_programs
from infra.local.redis_server import redis_program
from infra.local.supervisor import Supervisor
from tests.fleet.bad_links import BadLink

COORDINATORS: Final = ("coordinator-1", "coordinator-2")
SETTINGS: Final = {
    "BANDWATCH_COORDINATOR_STUDENT_DATA_S": "30",
    "BANDWATCH_COORDINATOR_TEACHER_DATA_S": "30",
    "BANDWATCH_COORDINATOR_POLICY_REST_S": "120",
}
"""A run is small, and one that came to nothing is soon followed by another; everything else is as usual."""
_FRONT_WITHIN_S: Final = 10.0
_DELIVER_S: Final = 180.0
_LISTEN_S: Final = 0.64
_STATISTICS_SPAN_S: Final = 0.6
"""Of radio that is heard: a report for each look, as often as from an observer that listens all the time."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Platform:
    """The running programs: postgres, redis, coordinator-1, coordinator-2, schedule and worker-1."""

    supervisor: Supervisor
    folder: DataFolder
    database_url: str
    redis_url: str
    operators: str
    """Where the first coordinator serves newcomers and operators."""
    front: str
    """Where members are served, by whichever coordinator."""
    metrics: dict[str, str]
    """Where each coordinator says what it counts."""
    watching: "Future[None]"
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when nothing is to be broken or ordered any more."""

    @property
    def operator_token(self) -> str:
        """The token that lets its holder administer the platform."""
        return self.folder.operator_token_file.read_text().strip()

    def pid(self, name: str) -> int:
        """Return the process of a program's latest start."""
        return self.supervisor.child(name).pid

    def connect(self, **options: Any) -> "psycopg.Connection[tuple[Any, ...]]":
        """Open a connection to the database, in which every statement stands alone."""
        return psycopg.connect(self.database_url, autocommit=True, **options)

    def require_watched(self) -> None:
        """Raise what ended the supervision, if anything has."""
        if self.watching.done():
            self.watching.result()


@contextmanager
def running_platform(root: Path, tell: Tell) -> Iterator[Platform]:
    """Run the platform; what dies in it is started again until the block ends."""
    folder, stop = DataFolder(root), threading.Event()
    folder.prepare()
    postgres = LocalPostgres(folder.postgres)
    supervisor = Supervisor(folder.logs, lambda line: tell(line.splitlines()[0]), lambda: None)
    addresses = {name: Addresses(*(f"{LOOPBACK}:{free_port()}" for _ in range(2))) for name in COORDINATORS}
    metrics = {name: f"{LOOPBACK}:{free_port()}" for name in COORDINATORS}
    with ThreadPoolExecutor(1) as watcher, _front([each.members for each in addresses.values()]) as front:
        try:
            supervisor.start(postgres.prepare(), stop)
            redis, redis_url = redis_program(folder.redis)
            supervisor.start(redis, stop)
            _start_bandwatch(supervisor, folder, addresses, metrics, front, postgres.url, redis_url)
            watching = watcher.submit(supervisor.watch, stop)
            operators = addresses[COORDINATORS[0]].open
            yield Platform(supervisor, folder, postgres.url, redis_url, operators, front, metrics, watching)
        finally:
            stop.set()
            supervisor.stop()
            postgres.clean_up()


def _start_bandwatch(
    supervisor: Supervisor,
    folder: DataFolder,
    addresses: dict[str, Addresses],
    metrics: dict[str, str],
    front: str,
    database_url: str,
    redis_url: str,
) -> None:
    """Start both coordinators, a schedule and a worker, which calls whichever coordinator there is."""
    stop = threading.Event()
    programs = {name: coordinator_programs(folder, each, database_url, redis_url) for name, each in addresses.items()}
    first = programs[COORDINATORS[0]]
    for program in (first.migrate, first.make_operator):
        supervisor.run_to_end(program, stop)
    for name, each in programs.items():
        own = {"BANDWATCH_COORDINATOR_METRICS_LISTEN": metrics[name]}
        supervisor.start(_with_settings(replace(each.serve, name=name), {**SETTINGS, **own}), stop)
    supervisor.start(_with_settings(first.schedule, SETTINGS), stop)
    worker = worker_programs(folder, 1, addresses[COORDINATORS[0]].open, redis_url, first.environment)
    for program in (worker.invite, worker.enroll):
        supervisor.run_to_end(program, stop)
    own = {"BANDWATCH_WORKER_COORDINATOR": front, "BANDWATCH_WORKER_THREADS": "1"}
    supervisor.start(_with_settings(worker.run, own), stop)


def _with_settings(program: Program, settings: dict[str, str]) -> Program:
    return replace(program, environment={**program.environment, **settings})


@contextmanager
def _front(targets: list[str]) -> Iterator[str]:
    """Pass connections on to the targets that answer, in turn, in a thread of its own, and give the address."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    address: Future[str] = Future()

    async def serve() -> None:
        async with BadLink(0, *targets).listening() as link:
            address.set_result(link.address)
            await stop.wait()

    with ThreadPoolExecutor(1) as thread:
        serving = thread.submit(loop.run_until_complete, serve())
        try:
            yield address.result(_FRONT_WITHIN_S)
        finally:
            loop.call_soon_threadsafe(stop.set)
            serving.result()
            loop.close()


@contextmanager
def simulated_fleet(
    platform: Platform, network: Path, tokens: Path, observers: int, period_s: float
) -> Iterator["FleetProcess"]:
    """Run `bandwatch-agent simulate` with so many observers until the block ends."""
    folder = network.parent
    command = (
        *(sys.executable, "-P", "-m", "observer_agent", "simulate"),
        *(f"--network={network}", f"--observers={observers}", f"--tokens={tokens}"),
        *(f"--coordinator={platform.operators}", f"--data-dir={folder}/agents", f"--report={folder}/account.json"),
        *(f"--listen-seconds={_LISTEN_S}", f"--period-seconds={period_s}", f"--deliver-seconds={_DELIVER_S}"),
    )
    settings = {
        "PYTHONUNBUFFERED": "1",
        "BANDWATCH_AGENT_COORDINATOR": platform.front,
        "BANDWATCH_AGENT_STATISTICS_SPAN_S": str(_STATISTICS_SPAN_S),
    }
    program = Program("fleet", command, settings)
    child = Child(program, platform.folder.logs)
    try:
        yield FleetProcess(child, folder / "account.json")
    finally:
        child.kill_group()


class FleetProcess:
    """The process of all agents."""

    _POLL_S: Final = 0.5
    _ENROLLED_WITHIN_S: Final = 600.0
    _GRACE_S: Final = 60.0

    def __init__(self, child: Child, account: Path) -> None:
        self.pid = child.pid
        self._child = child
        self._account = account

    def require_running(self) -> None:
        """Raise where the process has ended before its time."""
        if not self._child.is_running:
            raise RuntimeError(f"the fleet has ended ({self._child.ending}):\n{self._child.log_tail()}")

    def wait_until_it_listens(self) -> None:
        """Wait until all observers are enrolled and hear their cells."""
        self._wait(lambda: "observers listen for" in self._child.log_file.read_text(), self._ENROLLED_WITHIN_S)

    def end(self) -> bytes:
        """Let the radio end and agents deliver what they made, and return the account."""
        self._child.send(self._child.program.stop_signal)
        self._wait(lambda: not self._child.is_running, _DELIVER_S + self._GRACE_S)
        return self._account.read_bytes()

    def _wait(self, condition: Callable[[], bool], within_s: float) -> None:
        pause = threading.Event()
        for _ in range(round(within_s / self._POLL_S)):
            if condition():
                return
            if not self._child.is_running:
                break
            pause.wait(self._POLL_S)
        raise RuntimeError(f"the fleet is not where it should be ({self._child.ending}):\n{self._child.log_tail()}")
