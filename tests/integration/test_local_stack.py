"""The platform on one machine, with its real programs, as a person starts and stops it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psutil
import psycopg
import pytest
import redis

from bandwatch.errors import UnavailableError
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.wire.channel import member_credentials, open_blocking_channel
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.v1.observer_service_pb2 import UPLOAD_OUTCOME_STORED
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from bandwatch.wire.v1.spectrum_pb2 import MOBILITY_STATIC
from infra.local.options import StackOptions
from infra.local.programs import is_serving
from infra.local.record import StackRecord
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient
from tests.integration.honest_segments import upload

BANDWATCH: Final = (sys.executable, "-m", "operator_console")
DEADLINE_S: Final = 60.0
EXTERNAL_POSTGRES: Final = "postgresql://postgres@127.0.0.1:5432"
EXTERNAL_REDIS: Final = "redis://127.0.0.1:6379/15"


@pytest.fixture
def tmp_path(open_folder: Path) -> Path:
    """Give a folder that PostgreSQL's user can enter."""
    return open_folder


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not in time: {what}"
        threading.Event().wait(0.05)


class Up:
    """A running `bandwatch up`."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.output_file = data_dir.with_name(f"{data_dir.name}-{uuid4().hex}.out")
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(
                [*BANDWATCH, "up", "--data-dir", str(data_dir), *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
            )

    @property
    def output(self) -> str:
        """What it printed until now."""
        return self.output_file.read_text()

    @property
    def record(self) -> StackRecord:
        """What it says that it runs."""
        record = StackRecord.read(self.data_dir)
        assert record is not None
        return record

    def wait_until_it_says(self, text: str) -> None:
        """Wait for a line of its output."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, text)
        assert text in self.output, self.output

    def bandwatch(self, *arguments: str) -> Any:
        """Run another command against it and return its JSON."""
        done = subprocess.run(
            [
                *(*BANDWATCH, "--json", "--coordinator", self.record.address),
                *("--token-file", str(self.data_dir / "keys" / "operator.token"), *arguments),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def serves(self) -> bool:
        """Whether the coordinator and its database answer."""
        keys = self.data_dir / "keys"
        token, authorities = (keys / "operator.token").read_text().strip(), (keys / "authorities.pem").read_bytes()
        with AdminClient(self.record.address, token, authorities) as client, suppress(UnavailableError):
            return list(client.list_bands()) != []
        return False

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def running(data_dir: Path, *options: str) -> Iterator[Up]:
    up = Up(data_dir, *options)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.end(signal.SIGTERM)


def alive(record: StackRecord) -> list[str]:
    return [name for name, pid in record.pids.items() if psutil.pid_exists(pid)]


@pytest.mark.fault(
    "every process killed, then everything restarted",
    "what was registered is there",
)
def test_what_was_registered_survives_kills_and_a_restart_of_everything(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--port", "0") as up:
        up.wait_until_it_says("Bandwatch runs at")
        up.bandwatch("bands", "create", "b5", "--center-mhz", "881.5")
        up.bandwatch("cells", "create", "oak-street", "--band", "b5")
        observer = up.bandwatch("observers", "create", "roof-1", "--cell", "oak-street", "--mobility", "static")
        assert observer["token"]
        before = up.record.pids
        for name in ("coordinator", "postgres", "schedule", "worker-1"):
            os.kill(before[name], signal.SIGKILL)
        for name in ("coordinator", "postgres", "schedule", "worker-1"):
            up.wait_until_it_says(f"{name} died (signal 9, Killed)")
            up.wait_until_it_says(f"{name} was started again")
        wait_until(up.serves, "the coordinator serves again")
        assert [cell["name"] for cell in up.bandwatch("cells", "list")] == ["cells/oak-street"]
        record = up.record
        assert record.pids != before
        assert up.end(signal.SIGINT) == 0
        assert up.output.endswith("Everything is stopped.\n")
        assert alive(record) == []
    with running(tmp_path / "data", "--port", "0") as again:
        again.wait_until_it_says("Bandwatch runs at")
        observers = again.bandwatch("observers", "list")
        assert [(one["name"], one["cell"]) for one in observers] == [("observers/roof-1", "cells/oak-street")]


def test_an_ordered_run_reaches_a_worker(tmp_path: Path) -> None:
    with (
        LocalStack(StackOptions(tmp_path, port=0)) as stack,
        AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
    ):
        client.create_band("b5", center_hz=881.5e6, width_hz=5e6)
        client.create_cell("oak", band="bands/b5")
        _, token = client.create_observer("roof", cell="cells/oak", mobility=MOBILITY_STATIC, trusted=True)
        roof = enroll(stack.address, JoinToken.from_text(token), "", tmp_path / "roof")
        with open_blocking_channel(roof.address, member_credentials(roof)) as channel:
            answers = ObserverServiceStub(channel).UploadSegments(iter([upload(1), upload(2)]), timeout=DEADLINE_S)
            assert [answer.outcome for answer in answers] == [UPLOAD_OUTCOME_STORED] * 2
        assert client.segment_totals(cell="cells/oak").segments == 2
        run = client.create_teacher_run("bands/b5", max_epochs=1, stride_frames=25)
        wait_until(lambda: client.get_run(run.name).attempts > 0, "a worker claimed the run")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_up_stops_everything_when_its_terminal_or_its_service_manager_ends_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path / "data", "--port", "0") as up:
        up.wait_until_it_says("starting coordinator")
        record = up.record
        assert up.end(number) == 0
        assert alive(record) == []
        assert StackRecord.read(tmp_path / "data") is None


def test_up_refuses_a_taken_port_with_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with running(tmp_path / "data", "--port", str(port)) as up:
            assert up.process.wait(DEADLINE_S) == 1
            assert up.output == (
                f"error: port {port} is in use by another program; choose another with --port or stop it\n"
            )


def test_a_second_up_on_the_same_folder_refuses_and_leaves_the_first_alone(tmp_path: Path) -> None:
    with LocalStack(StackOptions(tmp_path / "data", port=0)) as stack, running(tmp_path / "data") as second:
        assert second.process.wait(DEADLINE_S) == 1
        assert re.fullmatch(r"error: a stack runs from \S+ already .*--data-dir\n", second.output)
        assert is_serving(stack.address, stack.folder.authorities_file)


@pytest.fixture
def external_database_url() -> Iterator[str]:
    """Give a database on a server that this suite did not start."""
    name = f"local_stack_{uuid4().hex}"
    try:
        connection = psycopg.connect(f"{EXTERNAL_POSTGRES}/postgres", autocommit=True, connect_timeout=2)
    except psycopg.OperationalError as error:
        pytest.skip(f"no PostgreSQL answers at {EXTERNAL_POSTGRES}: {error}")
    with connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"{EXTERNAL_POSTGRES}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def external_redis_url() -> str:
    """Give a Redis that this suite did not start."""
    try:
        with redis.Redis.from_url(EXTERNAL_REDIS, socket_connect_timeout=2.0) as client:
            client.ping()
    except redis.RedisError as error:
        pytest.skip(f"no Redis answers at {EXTERNAL_REDIS}: {error}")
    return EXTERNAL_REDIS


@pytest.mark.external
def test_servers_that_run_already_are_used_and_left_running(
    tmp_path: Path, external_database_url: str, external_redis_url: str
) -> None:
    options = StackOptions(tmp_path, port=0, database_url=external_database_url, redis_url=external_redis_url)
    with (
        LocalStack(options) as stack,
        AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
        psycopg.connect(external_database_url) as connection,
    ):
        client.create_band("b5", center_hz=881.5e6, width_hz=5e6)
        record = StackRecord.read(tmp_path)
        assert record is not None
        assert list(record.pids) == ["coordinator", "schedule", "worker-1"]
        assert connection.execute("SELECT count(*) FROM bands").fetchone() == (1,)
    with psycopg.connect(external_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM bands").fetchone() == (1,)
