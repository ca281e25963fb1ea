"""The client turns calls into resources, pages into one list, and statuses into errors."""

from datetime import timedelta
from typing import Any

import pytest

from bandwatch.errors import AlreadyExistsError, ConflictError, NotFoundError, UnauthenticatedError, UnavailableError
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import model_pb2, spectrum_pb2
from operator_console.coordinator_client import AdminClient, SegmentTotals
from tests.unit.trusted_server import KEYRING


def test_a_list_is_fetched_page_by_page_and_only_as_far_as_it_is_read(client: AdminClient, coordinator: Any) -> None:
    coordinator.bands = [spectrum_pb2.Band(name=f"bands/b{number}") for number in range(25)]
    coordinator.page_limit = 10
    bands = client.list_bands()
    assert coordinator.asked == []
    first = [next(bands).name for _ in range(10)]
    assert len(coordinator.asked) == 1
    assert first + [band.name for band in bands] == [f"bands/b{number}" for number in range(25)]
    assert len(coordinator.asked) == 3


def test_refusals_become_errors_with_the_coordinators_sentence(client: AdminClient) -> None:
    client.create_band("b5", center_hz=881.5e6, width_hz=5e6)
    with pytest.raises(AlreadyExistsError, match="bands/b5 exists"):
        client.create_band("b5", center_hz=881.5e6, width_hz=5e6)
    with pytest.raises(NotFoundError, match="there is no models/a"):
        client.get_model("models/a")


def test_a_wrong_token_is_refused(address: str) -> None:
    with AdminClient(address, "guessed", KEYRING.authorities) as client, pytest.raises(UnauthenticatedError):
        list(client.list_bands())


def test_a_coordinator_that_is_not_there_is_unavailable() -> None:
    nowhere = AdminClient("127.0.0.1:1", "any", KEYRING.authorities)
    with nowhere as client, pytest.raises(UnavailableError, match="cannot be reached"):
        list(client.list_bands())


def test_an_update_changes_the_given_fields_only(client: AdminClient) -> None:
    client.create_cell("oak", band="bands/b5")
    client.create_observer(
        "roof",
        cell="cells/oak",
        mobility=spectrum_pb2.MOBILITY_STATIC,
        title="Roof",
        training_target=timedelta(minutes=2),
    )
    changed = client.update_observer("observers/roof", mobility=spectrum_pb2.MOBILITY_DRIVING)
    assert changed.mobility == spectrum_pb2.MOBILITY_DRIVING
    assert (changed.title, changed.cell, changed.training_target.seconds) == ("Roof", "cells/oak", 120)
    assert changed.revision == 2
    assert client.update_observer("observers/roof", title="", cell="cells/elm").title == ""


def test_an_update_of_what_changed_meanwhile_conflicts(client: AdminClient, coordinator: Any) -> None:
    coordinator.observers = [admin.Observer(name="observers/roof", revision=1)]
    read = client.get_observer

    def read_then_changed(name: str) -> admin.Observer:
        observer = read(name)
        coordinator.observers[0].revision += 1
        return observer

    client.get_observer = read_then_changed  # type: ignore[method-assign] # the change falls between two calls
    with pytest.raises(ConflictError, match="somebody else"):
        client.update_observer("observers/roof", title="a")


def test_totals_of_segments_come_without_listing_them(client: AdminClient, coordinator: Any) -> None:
    for purpose in (spectrum_pb2.PURPOSE_TRAINING, spectrum_pb2.PURPOSE_ROUTINE):
        coordinator.segments += [
            spectrum_pb2.Segment(cell="cells/oak", frame_count=15625, purpose=purpose) for _ in range(3)
        ]
    totals = client.segment_totals(cell="cells/oak", purpose=spectrum_pb2.PURPOSE_TRAINING)
    assert totals == SegmentTotals(3, timedelta(seconds=12))
    assert coordinator.asked[-1].page_size == 1


def test_anomalies_are_counted_without_listing_them(client: AdminClient, coordinator: Any) -> None:
    coordinator.anomalies = [spectrum_pb2.Anomaly(cell=f"cells/{name}") for name in ("oak", "elm", "oak")]
    assert client.count_anomalies(cell="cells/oak") == 2
    assert client.count_anomalies() == 3


def test_watching_a_run_yields_its_changes_until_it_ends(client: AdminClient, coordinator: Any) -> None:
    run = model_pb2.TrainingRun(name="runs/a", state=model_pb2.TRAINING_RUN_STATE_QUEUED)
    coordinator.runs = [run]
    stages = iter(["", "epoch 1", "epoch 1", "epoch 2", "done"])

    def go_on() -> None:
        stage = next(stages)
        run.state = {"": model_pb2.TRAINING_RUN_STATE_QUEUED, "done": model_pb2.TRAINING_RUN_STATE_SUCCEEDED}.get(
            stage, model_pb2.TRAINING_RUN_STATE_RUNNING
        )
        run.progress.stage = stage

    coordinator.on_get_run = go_on
    seen = [watched.progress.stage for watched in client.watch_run("runs/a", poll_s=0.001)]
    assert seen == ["", "epoch 1", "epoch 2", "done"]
