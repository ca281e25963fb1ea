"""What dies comes back, and nothing that was acknowledged is lost: the real programs, killed with SIGKILL."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.errors import UnavailableError
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, TrainingRun
from bandwatch.wire.v1.spectrum_pb2 import MOBILITY_STATIC, Segment
from infra.local.options import StackOptions
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient

CARRIER_HZ = 881.5e6


@contextmanager
def _running(folder: Path) -> Iterator[LocalStack]:
    """Run the platform; what dies in it is started again."""
    stop = threading.Event()
    with LocalStack(StackOptions(folder / "platform", port=0)) as stack:
        watcher = threading.Thread(target=stack.watch, args=(stop,))
        watcher.start()
        try:
            yield stack
        finally:
            stop.set()
            watcher.join()


def _register(client: AdminClient, training: timedelta) -> str:
    client.create_band("north", center_hz=CARRIER_HZ, width_hz=1.92e6)
    client.create_cell("oak", band="bands/north")
    _, token = client.create_observer("roof", cell="cells/oak", mobility=MOBILITY_STATIC, training_target=training)
    return token


@contextmanager
def _agent(folder: Path, stack: LocalStack, token: str, seconds: float) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an agent that hears a small simulated cell as fast as it can."""
    (folder / "roof.token").write_text(token)
    (folder / "cell.json").write_text(
        json.dumps({"cell_identity": 5, "resource_blocks": 6, "carrier_hz": CARRIER_HZ, "seconds": seconds})
    )
    settings = {
        "COORDINATOR": stack.address,
        "OBSERVER": "observers/roof",
        "TOKEN_FILE": folder / "roof.token",
        "TRUSTED_KEYS": stack.trusted_keys_file,
        "DATA_DIR": folder / "roof",
        "SIMULATE": folder / "cell.json",
        "PACE": "fast",
        "RETRY_CAP_S": 1,
    }
    environment = {f"BANDWATCH_AGENT_{name}": str(value) for name, value in settings.items()}
    with (
        (folder / "agent.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "observer_agent", "run"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def _until(condition: Callable[[], bool], what: str, within_s: float = 120.0) -> None:
    """Wait for a condition, also while the coordinator is away."""
    pause = threading.Event()
    for _ in range(round(within_s / 0.1)):
        try:
            if condition():
                return
        except UnavailableError:
            pass
        pause.wait(0.1)
    pytest.fail(f"not within {within_s} s: {what}")


def test_a_coordinator_killed_during_an_upload_loses_and_doubles_nothing(open_folder: Path) -> None:
    wanted_s = 48.0
    with _running(open_folder) as stack, AdminClient(stack.address, stack.operator_token) as client:
        token = _register(client, timedelta(seconds=wanted_s))
        with _agent(open_folder, stack, token, seconds=wanted_s) as agent:
            for stored in (2, 6):
                _until(partial(_has_segments, client, stored), f"{stored} segments stored")
                stack.kill("coordinator")
            _until(lambda: client.segment_totals().span.total_seconds() > wanted_s - 0.1, "all of the radio stored")
            assert agent.poll() is None
        segments = list(client.list_segments())
        blobs = BlobStore(stack.data_dir / "blobs" / "segments")
        assert [segment.origin.sequence for segment in segments] == list(range(1, len(segments) + 1))
        assert all(len(blobs.read(segment.codes_digest)) == 128 * segment.frame_count for segment in segments)
        _assert_contiguous(segments)


def _has_segments(client: AdminClient, count: int) -> bool:
    return client.segment_totals().segments >= count


def _assert_contiguous(segments: list[Segment]) -> None:
    full = [segment for segment in segments if segment.frame_count == 15_625]
    assert len(full) >= len(segments) - 1, "only the last segment may be short"


def test_a_run_whose_worker_is_killed_is_taken_up_again_where_it_stood(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANDWATCH_COORDINATOR_LEASE_S", "6")
    with _running(open_folder) as stack, AdminClient(stack.address, stack.operator_token) as client:
        token = _register(client, timedelta(seconds=24))
        with _agent(open_folder, stack, token, seconds=24):
            _until(lambda: client.segment_totals().span.total_seconds() > 23, "radio stored")
        ordered = client.create_teacher_run("bands/north", max_epochs=6, stride_frames=40, seed=1)
        runs: list[TrainingRun] = []

        def killed_during_third_epoch() -> bool:
            runs.append(client.get_run(ordered.name))
            return runs[-1].progress.stage.startswith("epoch 3")

        _until(killed_during_third_epoch, "the third epoch")
        stack.kill("worker-1")
        second_attempt = [run for run in client.watch_run(ordered.name, poll_s=0.05) if run.attempts == 2]
    epochs = [run.progress.stage for run in second_attempt if run.progress.stage.startswith("epoch")]
    assert second_attempt[-1].state == TRAINING_RUN_STATE_SUCCEEDED
    assert not any(stage.startswith("epoch 1 ") for stage in epochs)
    assert second_attempt[-1].model


def test_a_broker_killed_while_a_run_trains_keeps_no_later_run_waiting(open_folder: Path) -> None:
    with _running(open_folder) as stack, AdminClient(stack.address, stack.operator_token) as client:
        token = _register(client, timedelta(seconds=8))
        with _agent(open_folder, stack, token, seconds=8):
            _until(lambda: client.segment_totals().span.total_seconds() > 7.5, "radio stored")
        first = client.create_teacher_run("bands/north", max_epochs=2, stride_frames=50, seed=1)
        _until(lambda: client.get_run(first.name).attempts == 1, "the first run begun")
        stack.kill("redis")
        _until(lambda: client.get_run(first.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the first run ended")
        second = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=50, seed=2)
        _until(lambda: client.get_run(second.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the second run ended")
