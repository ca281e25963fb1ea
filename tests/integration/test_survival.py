"""What dies comes back, and nothing that was acknowledged is lost: the real programs, killed with SIGKILL."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, TrainingRun
from bandwatch.wire.v1.spectrum_pb2 import Segment
from operator_console.coordinator_client import AdminClient
from tests.fault_table import RecordProperty
from tests.integration.platforms import agent, register, running, until


@pytest.mark.fault(
    "the coordinator killed twice during an upload",
    "no acknowledged segment is lost, none is stored twice",
)
def test_a_coordinator_killed_during_an_upload_loses_and_doubles_nothing(
    open_folder: Path, record_property: RecordProperty
) -> None:
    wanted_s = 48.0
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=wanted_s))
        with agent(open_folder, stack, token, seconds=wanted_s) as listening:
            for stored in (2, 6):
                until(partial(_has_segments, client, stored), f"{stored} segments stored")
                stack.kill("coordinator")
            until(lambda: client.segment_totals().span.total_seconds() > wanted_s - 0.1, "all of the radio stored")
            assert listening.poll() is None
        segments = list(client.list_segments())
        blobs = BlobStore(stack.data_dir / "blobs" / "segments")
        assert [segment.origin.sequence for segment in segments] == list(range(1, len(segments) + 1))
        assert all(len(blobs.read(segment.codes_digest)) == 128 * segment.frame_count for segment in segments)
        _assert_contiguous(segments)
    record_property("segments", len(segments))


def _has_segments(client: AdminClient, count: int) -> bool:
    return client.segment_totals().segments >= count


def _assert_contiguous(segments: list[Segment]) -> None:
    full = [segment for segment in segments if segment.frame_count == 15_625]
    assert len(full) >= len(segments) - 1, "only the last segment may be short"


@pytest.mark.fault(
    "a worker killed in the middle of a run",
    "another attempt goes on from the checkpoint",
)
def test_a_run_whose_worker_is_killed_is_taken_up_again_where_it_stood(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANDWATCH_COORDINATOR_LEASE_S", "6")
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=24))
        with agent(open_folder, stack, token, seconds=24):
            until(lambda: client.segment_totals().span.total_seconds() > 23, "radio stored")
        ordered = client.create_teacher_run("bands/north", max_epochs=6, stride_frames=40, seed=1)
        runs: list[TrainingRun] = []

        def killed_during_third_epoch() -> bool:
            runs.append(client.get_run(ordered.name))
            return runs[-1].progress.stage.startswith("epoch 3")

        until(killed_during_third_epoch, "the third epoch")
        stack.kill("worker-1")
        second_attempt = [run for run in client.watch_run(ordered.name, poll_s=0.05) if run.attempts == 2]
    epochs = [run.progress.stage for run in second_attempt if run.progress.stage.startswith("epoch")]
    assert second_attempt[-1].state == TRAINING_RUN_STATE_SUCCEEDED
    assert not any(stage.startswith("epoch 1 ") for stage in epochs)
    assert second_attempt[-1].model


@pytest.mark.fault(
    "Redis killed while a run trains",
    "the next run is taken all the same",
)
def test_a_broker_killed_while_a_run_trains_keeps_no_later_run_waiting(open_folder: Path) -> None:
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=8))
        with agent(open_folder, stack, token, seconds=8):
            until(lambda: client.segment_totals().span.total_seconds() > 7.5, "radio stored")
        first = client.create_teacher_run("bands/north", max_epochs=2, stride_frames=50, seed=1)
        until(lambda: client.get_run(first.name).attempts == 1, "the first run begun")
        stack.kill("redis")
        until(lambda: client.get_run(first.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the first run ended")
        second = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=50, seed=2)
        until(lambda: client.get_run(second.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the second run ended")
