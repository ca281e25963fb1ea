"""Two cells without students, a policy, and no hand: both have students that run everywhere, each stage timed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, RolloutPlan, TrainingRun
from bandwatch.wire.v1.policy_pb2 import Policy
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient
from tests.fleet.conftest import ItemResult
from tests.integration.platforms import agent, register, register_observer, running, until

SECONDS: Final = 8.0
"""Radio that each observer hears: two segments; 7.5 s of it are what a student needs here."""
CELLS: Final = ("elm", "fir")
SETTINGS: Final = {
    "BANDWATCH_COORDINATOR_POLICY_INTERVAL_S": "1",
    "BANDWATCH_COORDINATOR_POLL_S": "2",
    "BANDWATCH_WORKER_THREADS": "1",
}
STAGES: Final = ["ordered", "claimed", "trained", "released", "active", "running everywhere"]


def policy(target: str, *, enabled: bool) -> Policy:
    return Policy(
        target=target,
        enabled=enabled,
        student_data=to_duration_message(timedelta(seconds=7.5)),
        refit_on_drift=True,
        frozen_layers=2,
        max_epochs=1,
        stride_frames=50,
        plan=RolloutPlan(at_once=True),
    )


def teach(client: AdminClient) -> None:
    """Put a teacher in force that learnt from a third cell, so that every student beats it."""
    order = client.create_teacher_run(
        "bands/north", cells=["cells/oak"], family="linear", max_epochs=1, stride_frames=50
    )
    *_, ended = client.watch_run(order.name, poll_s=0.2)
    assert ended.state == TRAINING_RUN_STATE_SUCCEEDED, ended.last_error
    client.create_release(ended.model, RolloutPlan(at_once=True))


def _stages(run: TrainingRun) -> list[str]:
    return [stage.stage for stage in run.stages]


def _remarks(client: AdminClient) -> Iterator[str]:
    """Yield what the policy of the band last did or waits for."""
    return (kept.remark for kept in client.list_policies() if kept.target == "bands/north")


def run_everywhere(client: AdminClient, cell: str) -> bool:
    """Tell whether the policy's student of a cell runs everywhere."""
    runs = [run for run in client.list_runs() if run.policy and run.student.cell == cell]
    assert len(runs) <= 1, "one run for each cell"
    return bool(runs) and _stages(runs[0])[-1] == "running everywhere"


def shown(stack: LocalStack, run: str) -> str:
    """Return what `bandwatch runs show` prints."""
    command = [sys.executable, "-m", "operator_console", "--coordinator", stack.address]
    command += ["--token-file", str(stack.folder.operator_token_file), "runs", "show", run]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.fleet
@pytest.mark.slow
@pytest.mark.timeout(900)  # three trainings, on processors that others may use
def test_two_cells_without_students_get_theirs_without_a_hand_and_every_stage_is_timed(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult
) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with (
        running(open_folder) as stack,
        AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
        ExitStack() as agents,
    ):
        token = register(client, timedelta(seconds=SECONDS))
        with agent(open_folder, stack, token, SECONDS, cell_identity=99, EXIT_AT_END=True) as listening:
            assert listening.wait(120) == 0
        client.create_policy("usual", policy("bands/north", enabled=True))
        client.create_policy("not-oak", policy("cells/oak", enabled=False))
        for number, cell in enumerate(CELLS):
            client.create_cell(cell, band="bands/north")
            observer = f"hill-{cell}"
            token = register_observer(client, observer, timedelta(seconds=SECONDS), cell=cell)
            agents.enter_context(agent(open_folder, stack, token, SECONDS, observer=observer, cell_identity=5 + number))
        until(lambda: client.segment_totals().segments == len(CELLS) * 2 + 2, "radio of all cells stored")
        until(lambda: "no teacher is in force" in next(_remarks(client)), "the policy waits for a teacher")
        teach(client)  # from here on nobody does anything
        for cell in CELLS:
            until(partial(run_everywhere, client, f"cells/{cell}"), f"the student of {cell} everywhere", 240)
        ordered = [run for run in client.list_runs() if run.policy]
        texts = [shown(stack, run.name) for run in ordered]
        until(lambda: "cells/elm: its student is as it should be" in next(_remarks(client)), "the policy is content")
    for run, text in zip(ordered, texts, strict=True):
        print(text)  # noqa: T201 - the times of the stages are what is to be seen
        assert _stages(run) == STAGES
        assert all(stage in text for stage in STAGES)
    assert sorted(run.student.cell for run in ordered) == ["cells/elm", "cells/fir"]
    item_result(
        7,
        tried="two cells without students under a policy, no hand touched: students active and running everywhere, "
        + ", ".join(_took(run) for run in ordered),
        how_often=1,
        lost="nothing",
    )


def _took(run: TrainingRun) -> str:
    times = [stage.time.ToDatetime() for stage in run.stages]
    steps = zip(run.stages[1:], times[1:], times, strict=False)
    each = ", ".join(f"{stage.stage} +{(now - before).total_seconds():.1f} s" for stage, now, before in steps)
    return f"{run.student.cell}: {each}"
