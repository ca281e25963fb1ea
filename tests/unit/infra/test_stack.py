"""A whole stack: real PostgreSQL and Redis, with stand-ins for the programs of Bandwatch."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
import redis

from bandwatch.errors import BandwatchError, FailedPreconditionError, UnavailableError
from infra.local.options import StackOptions
from infra.local.programs import is_serving
from infra.local.record import StackRecord
from infra.local.stack import LocalStack

WaitUntil = Callable[[Callable[[], bool]], None]
Watching = Callable[[Callable[[threading.Event], None]], AbstractContextManager[None]]

pytestmark = pytest.mark.usefixtures("stand_ins")


DATABASE_URL = "postgresql://unused"  # the stand-ins never connect, and making a database takes half a second


def answers_on_socket(folder: Path) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(folder / ".s.PGSQL.5432"))
    except OSError:
        return False
    return True


def test_every_program_runs_with_its_log_and_is_recorded_and_none_survives(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    with LocalStack(StackOptions(tmp_path, port=0, workers=2)) as stack:
        record = StackRecord.read(tmp_path)
        assert record is not None
        assert list(record.pids) == ["postgres", "redis", "coordinator", "schedule", "worker-1", "worker-2"]
        assert record.address == stack.address
        assert record.pids["coordinator"] == stack.process("coordinator").pid
        assert is_serving(stack.address, stack.folder.authorities_file)
        assert answers_on_socket(tmp_path / "postgres")
        wait_until(lambda: "working in" in (tmp_path / "logs" / "worker-2.log").read_text())
    assert not any(psutil.pid_exists(pid) for pid in record.pids.values())
    assert StackRecord.read(tmp_path) is None
    logs = {file.stem: file.read_text() for file in (tmp_path / "logs").iterdir()}
    invitations = {f"{what}-worker-{number}" for what in ("invite", "enroll") for number in (1, 2)}
    assert set(logs) == {*record.pids, "migrate", "make-operator", *invitations}
    assert "ready to accept connections" in logs["postgres"]
    assert "serve with postgresql://" in logs["coordinator"]
    assert f"--coordinator {record.address}" in logs["enroll-worker-2"]
    assert "--name workers/worker-2" in logs["invite-worker-2"]


def test_redis_keeps_what_it_holds_over_a_kill_and_a_restart(
    tmp_path: Path, wait_until: WaitUntil, watching: Watching
) -> None:
    announced: list[str] = []
    with (
        LocalStack(StackOptions(tmp_path, port=0, database_url=DATABASE_URL), announced.append) as stack,
        watching(stack.watch),
    ):
        command = stack.process("redis").program.command
        port = int(command[command.index("--port") + 1])
        with redis.Redis(port=port) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("save") == {"save": ""}
            assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
            client.set("a", "b")
        stack.kill("redis", signal.SIGTERM)
        wait_until(lambda: "redis was started again" in announced)
        wait_until(stack.process("redis").program.is_healthy)
        with redis.Redis(port=port) as client:
            assert client.get("a") == b"b"


def test_the_coordinator_and_the_database_come_back_after_a_kill(
    tmp_path: Path, wait_until: WaitUntil, watching: Watching
) -> None:
    announced: list[str] = []
    with LocalStack(StackOptions(tmp_path, port=0), announced.append) as stack, watching(stack.watch):
        stack.kill("coordinator")
        stack.kill("postgres")
        wait_until(lambda: {"coordinator was started again", "postgres was started again"} <= set(announced))
        wait_until(lambda: is_serving(stack.address, stack.folder.authorities_file))
        wait_until(stack.process("postgres").program.is_healthy)
        record = StackRecord.read(tmp_path)
        assert record is not None
        assert record.pids["coordinator"] == stack.process("coordinator").pid


def test_a_second_stack_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with LocalStack(StackOptions(tmp_path, port=0, database_url=DATABASE_URL)) as stack:
        with pytest.raises(
            FailedPreconditionError,
            match=rf"runs from {tmp_path} already \(process {os.getpid()}, at {stack.address}\)",
        ):
            LocalStack(StackOptions(tmp_path, port=0, database_url=DATABASE_URL)).start()
        assert is_serving(stack.address, stack.folder.authorities_file)


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        stack = LocalStack(StackOptions(tmp_path, port=other.getsockname()[1]))
        with pytest.raises(FailedPreconditionError, match="in use by another program"), stack:
            pass
    assert list((tmp_path / "logs").iterdir()) == []
    assert StackRecord.read(tmp_path) is None


def test_a_failed_migration_is_reported_and_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_MIGRATE_STATUS", "4")
    stack = LocalStack(StackOptions(tmp_path, port=0, database_url=DATABASE_URL))
    with pytest.raises(UnavailableError, match=r"(?s)migrate failed \(exit status 4\).*migrate with postgresql"), stack:
        pass
    assert StackRecord.read(tmp_path) is None


def test_a_start_that_is_stopped_halfway_leaves_nothing_running(tmp_path: Path) -> None:
    stop = threading.Event()
    stack = LocalStack(StackOptions(tmp_path, port=0), lambda line: stop.set() if line == "starting redis" else None)
    stack.start(stop)
    stack.watch(stop)
    stack.stop()
    assert not (tmp_path / "logs" / "coordinator.log").exists()
    assert not answers_on_socket(tmp_path / "postgres")
    assert StackRecord.read(tmp_path) is None


def test_a_folder_with_a_long_path_and_spaces_works_and_can_be_started_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "a folder with spaces" / ("x" * 100)
    for _ in range(2):
        with LocalStack(StackOptions(data_dir, port=0)) as stack:
            assert is_serving(stack.address, stack.folder.authorities_file)
            socket_folder = Path(stack.process("postgres").program.command[-1])
            assert answers_on_socket(socket_folder)
        assert not socket_folder.exists()


def test_what_a_killed_stack_left_running_is_ended_by_the_next_start(tmp_path: Path) -> None:
    announced: list[str] = []
    orphaning = LocalStack(StackOptions(tmp_path, port=0))
    with orphaning:
        record = StackRecord.read(tmp_path)
        assert record is not None
        # The kernel drops the lock of a killed process; closing its descriptor has the same effect.
        assert orphaning._folder_lock is not None
        os.close(orphaning._folder_lock)
        with LocalStack(StackOptions(tmp_path, port=0), announced.append) as stack:
            assert is_serving(stack.address, stack.folder.authorities_file)
        orphaning._folder_lock = os.open(tmp_path, os.O_RDONLY)
    assert "ended what an earlier run had left behind: worker-1, schedule, coordinator, redis, postgres" in announced


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    stack = LocalStack(
        StackOptions(tmp_path, port=0, database_url=DATABASE_URL, redis_url="redis://:secret@127.0.0.1:1/0")
    )
    with pytest.raises(BandwatchError, match=r"no Redis answers at 127\.0\.0\.1:1;") as raised, stack:
        pass
    assert "secret" not in raised.value.message


def test_a_postmaster_file_that_names_a_stranger_does_not_keep_the_database_down(tmp_path: Path) -> None:
    with LocalStack(StackOptions(tmp_path, port=0)):
        pass
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n")
        with LocalStack(StackOptions(tmp_path, port=0)) as stack:
            assert is_serving(stack.address, stack.folder.authorities_file)
        stranger.kill()
