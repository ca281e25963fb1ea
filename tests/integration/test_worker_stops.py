"""A worker that is told to stop gives its run back at once."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED
from operator_console.coordinator_client import AdminClient
from tests.integration.platforms import agent, register, running, until


@pytest.mark.fault(
    "a worker stopped in the middle of a run",
    "it gives the run back, and the attempt does not count",
)
@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_gives_its_run_back_and_the_attempt_does_not_count(
    open_folder: Path,
) -> None:
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=8))
        with agent(open_folder, stack, token, seconds=8):
            until(lambda: client.segment_totals().span.total_seconds() > 7.5, "radio stored")
        run = client.create_teacher_run("bands/north", max_epochs=4, stride_frames=10, seed=1).name
        until(lambda: client.get_run(run).progress.stage.startswith("epoch"), "the training begun")
        stack.kill("worker-1", signal.SIGTERM)
        until(lambda: client.get_run(run).last_error == "the worker was stopped", "the run given back", within_s=50)
        until(lambda: client.get_run(run).state == TRAINING_RUN_STATE_SUCCEEDED, "the run ended")
        assert client.get_run(run).attempts == 1
