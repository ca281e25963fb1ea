"""stack.json tells what runs, and what a crash left running."""

import os
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


def test_a_stranger_with_a_recorded_number_is_left_alone(process: subprocess.Popen[bytes]) -> None:
    record = StackRecord.of("127.0.0.1:1", os.getpid(), {"redis": process.pid})
    older = record.model_copy(update={"create_times_s": {"redis": record.create_times_s["redis"] - 60}})
    assert older.end_leftovers() == []
    assert process.poll() is None
