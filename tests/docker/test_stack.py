"""The platform in containers, as infra/compose.yaml describes it: six observers of two cells, and what they find."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import pytest

from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1.incident_pb2 import Incident
from bandwatch.wire.v1.model_pb2 import RolloutPlan
from operator_console.coordinator_client import AdminClient
from tests.docker.stacks import (
    CELLS,
    Stack,
    assert_nothing_lost,
    observers_of,
    register,
    until_enough_to_train_is_stored,
    until_stored,
    until_succeeded,
)
from tests.integration.platforms import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
BURSTS: Final = tuple(
    {"kind": "ofdm-1mhz", "start_s": begin_s, "stop_s": begin_s + 3, "ratio_db": 10, "offset_hz": 0.3e6}
    for begin_s in (6, 12, 18, 24)
)
"""A foreign transmitter within the band, as strong as the cell and more."""


@pytest.fixture
def client(stack: Stack) -> Iterator[AdminClient]:
    with stack.operator() as client:
        yield client


def runs_at(client: AdminClient, cell: str, model: str) -> bool:
    """Tell whether every observer of a cell says that it runs a model."""
    return all(client.get_observer(f"observers/{name}").reported.running_model == model for name in observers_of(cell))


def test_a_teacher_is_trained_and_released_and_then_a_student_of_each_cell(client: AdminClient) -> None:
    until_enough_to_train_is_stored(client)
    order = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=50, seed=1)
    teacher = until_succeeded(client, order.name)
    client.create_release(teacher, RolloutPlan(at_once=True))
    until(lambda: all(runs_at(client, cell, teacher) for cell in CELLS), "the teacher everywhere")
    orders = {
        cell: client.create_student_run(
            f"cells/{cell}", teachers=[teacher], frozen_layers=2, max_epochs=1, stride_frames=50
        ).name
        for cell in CELLS
    }
    students = {cell: until_succeeded(client, run) for cell, run in orders.items()}
    assert len({teacher, *students.values()}) == 1 + len(CELLS)
    for student in students.values():
        client.create_release(student, RolloutPlan(at_once=True))
    until(lambda: all(runs_at(client, cell, student) for cell, student in students.items()), "each at its cell")


def test_a_transmitter_in_one_cell_is_one_incident_of_that_cell_which_several_observers_saw(
    stack: Stack, client: AdminClient
) -> None:
    began_at = datetime.now(UTC)

    def listen_to_bursts(name: str) -> None:
        agent = stack.agents[name]
        agent.end()
        agent.hears_besides(BURSTS)
        agent.listen("--anomalies", "/etc/bandwatch/anomalies.json")

    def incidents(cell: str) -> list[Incident]:
        found = client.list_incidents(cell=f"cells/{cell}")
        return [incident for incident in found if to_moment(incident.box.end_time) >= began_at]

    with ThreadPoolExecutor() as pool:
        list(pool.map(listen_to_bursts, observers_of("oak")))
    heard_by_all = len(observers_of("oak")) * len(BURSTS)
    until(lambda: any(incident.event_count >= heard_by_all for incident in incidents("oak")), "the incident")
    [incident] = incidents("oak")
    assert len(incident.observers) > 1
    assert set(incident.observers) <= {f"observers/{name}" for name in observers_of("oak")}
    assert incidents("elm") == []
    assert assert_nothing_lost(stack, client) > 0


def test_the_simulated_observer_of_compose_enrols_and_delivers(stack: Stack, client: AdminClient) -> None:
    stack.start_simulated(register(client, "shed"))
    until_stored(client, "shed", 1)
