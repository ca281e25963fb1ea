"""A platform with two agents that hear one cell without end, what may break in it, and what must hold afterwards."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import psycopg
import pytest
import redis
from psycopg import sql

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED
from bandwatch.wire.v1.spectrum_pb2 import PURPOSE_TRAINING
from infra.local.redis_server import redis_answers
from infra.local.stack import LocalStack
from observer_agent.spool.ledger import Ledger
from operator_console.coordinator_client import AdminClient
from tests.integration.platforms import agent, register, register_observer, running, until

if TYPE_CHECKING:
    import subprocess

OBSERVERS: Final = ("roof", "mast")
WANTED: Final = timedelta(hours=2)
"""Radio for training that each agent keeps: more than any test lasts."""
SHORT_TIMES: Final = {
    "BANDWATCH_COORDINATOR_LEASE_S": "4",
    "BANDWATCH_COORDINATOR_REPUBLISH_S": "2",
    "BANDWATCH_COORDINATOR_STUDENT_DATA_S": "16",
    "BANDWATCH_COORDINATOR_TEACHER_DATA_S": "16",
    "BANDWATCH_WORKER_THREADS": "1",
}
"""What is to come back is looked for soon, and a run is small."""


class Fleet:
    """The running programs: a local stack that starts anew what dies, and agents that this class starts anew."""

    def __init__(self, folder: Path, stack: LocalStack, client: AdminClient, tokens: dict[str, str]) -> None:
        self.folder = folder
        self.stack = stack
        self.client = client
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self._tokens = tokens
        self._running = ExitStack()

    def listen(self, observer: str, seconds: float | None = None) -> None:
        """Start an agent on what it has on disk: at the speed of the air without end, or so many seconds quickly."""
        started = agent(
            self.folder,
            self.stack,
            self._tokens[observer],
            seconds,
            observer=observer,
            PACE="real" if seconds is None else "fast",
            EXIT_AT_END=seconds is not None,
        )
        self.agents[observer] = self._running.enter_context(started)

    def kill_agent(self, observer: str) -> None:
        """Kill an agent with SIGKILL and start it again, as a service manager does."""
        self.agents[observer].kill()
        self.agents[observer].wait()
        self.listen(observer)

    def kill_attempt(self) -> bool:
        """Kill the process that trains, and tell whether there was one."""
        worker = psutil.Process(self.stack.process("worker-1").pid)
        attempts = [child for child in worker.children() if "execute" in child.cmdline()]
        for attempt in attempts:
            attempt.send_signal(signal.SIGKILL)
        return attempts != []

    def flush_redis(self) -> None:
        """Empty Redis, as `redis-cli flushall` does."""
        with redis.Redis.from_url(self._redis_url) as connection:
            connection.flushall()

    def is_whole(self) -> bool:
        """Tell whether every program runs, and Redis answers."""
        names = ("postgres", "redis", "coordinator", "schedule", "worker-1")
        running = all(self.stack.process(name).is_running for name in names)
        return running and redis_answers(self._redis_url)

    @property
    def _redis_url(self) -> str:
        return self.stack.process("worker-1").program.environment["BANDWATCH_WORKER_REDIS_URL"]

    def last_words(self) -> str:
        """Return the end of every log, for whoever wonders why something did not happen."""
        worker = self.stack.data_dir / "worker"
        logs = [*self.folder.glob("*.log"), *(self.stack.data_dir / "logs").glob("*.log"), *worker.rglob("*.log")]
        return "\n".join(f"== {log}\n{_tail(log)}" for log in sorted(logs, key=lambda log: log.stat().st_mtime))

    def runs_everywhere(self, model: str) -> bool:
        """Tell whether every agent says that it runs a model."""
        return all(self.client.get_observer(f"observers/{name}").reported.running_model == model for name in OBSERVERS)

    def end(self) -> None:
        """Let every agent deliver what it holds and end."""
        for observer in OBSERVERS:
            self.agents[observer].terminate()
            self.agents[observer].wait(30)
            self.listen(observer, seconds=0.2)
        for observer in OBSERVERS:
            assert self.agents[observer].wait(120) == 0, (self.folder / f"{observer}.log").read_text()[-2000:]

    def close(self) -> None:
        """End whatever still runs."""
        self._running.close()


def _tail(log: Path) -> str:
    return "\n".join(line[:300] for line in log.read_text(errors="replace").splitlines()[-12:])


@contextmanager
def two_agents(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Run the platform with two agents in one cell that has enough radio stored to train."""
    for name, value in SHORT_TIMES.items():
        monkeypatch.setenv(name, value)
    with running(folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        tokens = {"roof": register(client, WANTED), "mast": register_observer(client, "mast", WANTED)}
        fleet = Fleet(folder, stack, client, tokens)
        try:
            fleet.listen("roof", seconds=20)
            assert fleet.agents["roof"].wait(120) == 0
            for observer in OBSERVERS:
                fleet.listen(observer)
            yield fleet
        finally:
            fleet.close()


def prepared_teacher(fleet: Fleet) -> str:
    """Return a teacher of another cell's radio, which every student of cell oak beats.

    It is linear, as its students are then: they are solved within a second.
    """
    fleet.client.create_cell("elm", band="bands/north")
    token = register_observer(fleet.client, "hill", WANTED, cell="elm")
    with agent(fleet.folder, fleet.stack, token, 12, observer="hill", cell_identity=99, EXIT_AT_END=True) as listening:
        assert listening.wait(120) == 0
    order = fleet.client.create_teacher_run(
        "bands/north", cells=["cells/elm"], family="linear", max_epochs=1, stride_frames=50, seed=1
    )
    until(lambda: fleet.client.get_run(order.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the teacher")
    return fleet.client.get_run(order.name).model


def assert_nothing_lost(fleet: Fleet) -> int:
    """Compare what every agent made with what the coordinator holds, and return how many segments there are.

    Every segment has its codes; every frame that an agent ever kept for training is there; no number is there twice,
    and none is missing but those of events that a newer report of the same event replaced; the agent's own sums agree.
    """
    blobs = BlobStore(fleet.stack.data_dir / "blobs" / "segments")
    count = 0
    for observer in OBSERVERS:
        ledger = Ledger(fleet.folder / observer / "spool" / "index.sqlite3")
        totals = ledger.totals
        ledger.close()
        assert (totals.acknowledged, totals.held) == (totals.made, 0)
        assert (totals.evicted, totals.refused, totals.damaged) == (0, 0, 0)
        segments = list(fleet.client.list_segments(observer=f"observers/{observer}"))
        training = [segment.frame_count for segment in segments if segment.purpose == PURPOSE_TRAINING]
        assert sum(training) == totals.training_frames["cells/oak"]
        assert all(len(blobs.read(segment.codes_digest)) == 128 * segment.frame_count for segment in segments)
        numbers = _numbers_stored(fleet.stack, observer)
        plain, events = numbers["segments"] + numbers["anomalies"] + numbers["statistics"], numbers["events"]
        assert len({*plain, *events}) == len(plain) + len(events)
        assert {*plain, *events} <= set(range(1, totals.made + 1))
        assert events or len(plain) == totals.made
        count += len(segments)
    return count


def _numbers_stored(stack: LocalStack, observer: str) -> dict[str, list[int]]:
    """Return the number that an observer gave to each thing that the coordinator holds of it."""
    url = stack.process("coordinator").program.environment["BANDWATCH_COORDINATOR_DATABASE_URL"]
    found = {}
    with psycopg.connect(url) as connection:
        for table in ("segments", "anomalies", "events", "statistics"):
            query = sql.SQL("SELECT sequence FROM {} WHERE observer_id = %s").format(sql.Identifier(table))
            found[table] = [number for (number,) in connection.execute(query, (observer,))]
    return found
