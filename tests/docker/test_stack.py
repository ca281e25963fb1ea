"""The platform in containers, as infra/compose.yaml describes it, works and loses nothing when parts of it fail."""

import threading
from collections.abc import Iterator

import pytest

from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, RolloutPlan
from infra.docker.commands import run
from operator_console.coordinator_client import AdminClient
from tests.docker.stacks import CELL, OBSERVERS, Stack, acknowledged, assert_nothing_lost, register
from tests.integration.platforms import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
FROZEN_S = 20.0
MORE = 3
"""Things that each agent is to deliver before and during a fault."""


@pytest.fixture
def client(stack: Stack) -> Iterator[AdminClient]:
    with stack.operator() as client:
        yield client


def until_more_is_delivered(stack: Stack) -> None:
    """Wait until the coordinators took more from each agent."""
    before = {observer: acknowledged(stack, observer) for observer in OBSERVERS}
    until(
        lambda: all(acknowledged(stack, observer) >= count + MORE for observer, count in before.items()),
        "more taken of every agent",
    )


def until_nothing_more_is_delivered(stack: Stack) -> dict[str, int]:
    """Wait until what was on its way has arrived, and return how much of each agent was taken."""
    seen: list[dict[str, int]] = []

    def nothing_more() -> bool:
        seen.append({observer: acknowledged(stack, observer) for observer in OBSERVERS})
        return len(seen) > 1 and seen[-1] == seen[-2]

    until(nothing_more, "nothing more taken")
    return seen[-1]


def runs_everywhere(client: AdminClient, model: str) -> bool:
    return all(client.get_observer(f"observers/{name}").reported.running_model == model for name in OBSERVERS)


def test_a_teacher_is_trained_and_released_and_then_a_student(client: AdminClient) -> None:
    until(lambda: client.segment_totals(cell=CELL).segments >= 2 * MORE, "segments to train on")
    teacher = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=50, seed=1)
    until(lambda: client.get_run(teacher.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the teacher", 240)
    model = client.get_run(teacher.name).model
    client.create_release(model, RolloutPlan(at_once=True))
    until(lambda: runs_everywhere(client, model), "the teacher everywhere")
    student = client.create_student_run(CELL, teachers=[model], frozen_layers=2, max_epochs=1, stride_frames=50)
    until(lambda: client.get_run(student.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the student", 240)
    fitted = client.get_run(student.name).model
    assert fitted != model
    client.create_release(fitted, RolloutPlan(at_once=True))
    until(lambda: runs_everywhere(client, fitted), "the student everywhere")


@pytest.mark.parametrize("service", ["coordinator-1", "coordinator-2"])
def test_agents_go_on_through_the_other_coordinator_when_one_is_killed(
    stack: Stack, client: AdminClient, service: str
) -> None:
    until_more_is_delivered(stack)
    killed = stack.container(service)
    run("docker", "kill", killed)
    until_more_is_delivered(stack)
    assert not stack.is_running(service)
    run("docker", "start", killed)
    until(lambda: stack.is_healthy(service), "the coordinator healthy again")
    assert assert_nothing_lost(stack, client) > 0


def test_nothing_is_lost_while_the_database_stands_still(stack: Stack, client: AdminClient) -> None:
    until_more_is_delivered(stack)
    run("docker", "pause", stack.container("postgres"))
    try:
        before = until_nothing_more_is_delivered(stack)
        threading.Event().wait(FROZEN_S)
        assert {observer: acknowledged(stack, observer) for observer in OBSERVERS} == before
    finally:
        run("docker", "unpause", stack.container("postgres"))
    until_more_is_delivered(stack)
    assert assert_nothing_lost(stack, client) > 0


def test_the_simulated_observer_of_compose_enrols_and_delivers(stack: Stack, client: AdminClient) -> None:
    stack.start_simulated(register(client, "shed"))
    until(lambda: client.segment_totals(observer="observers/shed").segments > 0, "a segment of it")
