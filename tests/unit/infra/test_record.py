"""stack.json tells what runs, and what a crash left running."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.record import StackRecord


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield started
    started.kill()
    started.wait()


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = StackRecord.of("127.0.0.1:1", os.getpid(), {"coordinator": os.getpid()})
    record.write(tmp_path)
    assert StackRecord.read(tmp_path) == record
    StackRecord.remove(tmp_path)
    assert StackRecord.read(tmp_path) is None


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"address": ')
    assert StackRecord.read(tmp_path) is None


def test_leftovers_are_ended(process: subprocess.Popen[bytes]) -> None:
    record = StackRecord.of("127.0.0.1:1", os.getpid(), {"redis": process.pid})
    assert record.end_leftovers() == ["redis"]
    assert process.poll() is not None


def test_a_leftover_that_ignores_the_request_to_end_is_killed() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        deaf.stdout.readline()
        record = StackRecord.of("127.0.0.1:1", os.getpid(), {"worker-1": deaf.pid})
        assert record.end_leftovers(grace_s=0.1) == ["worker-1"]
        assert deaf.wait() == -signal.SIGKILL


def test_a_stranger_with_a_recorded_number_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    record = StackRecord.of("127.0.0.1:1", os.getpid(), {"redis": process.pid})
    older = record.model_copy(update={"create_times_s": {"redis": record.create_times_s["redis"] - 60}})
    assert older.end_leftovers() == []
    assert process.poll() is None
