"""From radio to a student that its data chose, to windows judged by it, to the incident of a self-test: for real."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1.incident_pb2 import SelfTest
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, RolloutPlan, TrainingRun
from operator_console.coordinator_client import AdminClient
from tests.integration.platforms import agent, register, running, until

AT_ONCE = RolloutPlan(at_once=True)


def _ended(client: AdminClient, run: TrainingRun) -> TrainingRun:
    *_, ended = client.watch_run(run.name, poll_s=0.2)
    assert ended.state == TRAINING_RUN_STATE_SUCCEEDED, ended.last_error
    return ended


def carried_out_self_test(client: AdminClient) -> SelfTest:
    """Order a self-test from an observer that listens, and return it once it became an incident."""
    ordered = client.create_self_test("observers/roof")
    until(lambda: bool(client.get_self_test(ordered.name).incident), "the injected anomaly is an incident")
    return client.get_self_test(ordered.name)


@pytest.mark.slow
def test_a_student_is_made_of_what_is_there_released_if_it_is_better_and_judges_by_its_own_score(
    open_folder: Path,
) -> None:
    with running(open_folder) as stack, AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
        token = register(client, timedelta(seconds=8))
        with agent(open_folder, stack, token, seconds=8):
            until(lambda: client.segment_totals().span.total_seconds() > 7.5, "radio stored")
        order = client.create_teacher_run(
            "bands/north", max_epochs=1, stride_frames=50, release_on_success=True, plan=AT_ONCE
        )
        teacher = _ended(client, order)
        order = client.create_student_run(
            "cells/oak", frozen_layers=2, max_epochs=1, stride_frames=50, release_on_success=True, plan=AT_ONCE
        )
        run = _ended(client, order)
        model, released = client.get_model(run.model), next(client.list_releases())
        with agent(open_folder, stack, token, seconds=2, INSPECT=open_folder / "seen", EXIT_AT_END=True) as listening:
            assert listening.wait(60) == 0
        reported = list(client.list_anomalies())
        with agent(open_folder, stack, token, seconds=None):
            self_test = carried_out_self_test(client)
        incidents = list(client.list_incidents())

    times = [self_test.create_time, self_test.start_time, self_test.event_time, self_test.incident_time]
    assert times == sorted(times, key=to_moment)
    assert self_test.incident not in {incident.name for incident in incidents}, "a test is no incident to be listed"

    assert list(run.student.teachers) == [teacher.model]
    assert {candidate.family for candidate in model.content.candidates} >= {"lstm-predictor", "linear"}
    assert model.content.choice
    content = model.content
    beaten = not content.HasField("parent_error") or content.error.mean_db < content.parent_error.mean_db
    assert (released.model == model.name) == beaten == (run.remark == "")

    lines = [json.loads(line) for line in (open_folder / "seen" / "scores.jsonl").read_text().splitlines()]
    assert len(lines) > 200
    assert {line["serial"] for line in lines} == {released.serial}
    assert {line["score"] for line in lines} == {content.default_score}  # all models of this version have the same
    assert all(line["scores"].keys() == {table.score for table in content.scores} for line in lines)
    flagged = [line for line in lines if line["anomalous"]]
    assert all(line["value"] == line["scores"][line["score"]] > line["threshold"] for line in flagged)
    assert sorted(anomaly.value for anomaly in reported) == pytest.approx(sorted(line["value"] for line in flagged))
