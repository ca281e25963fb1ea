"""Releases on their way, and the fleet that runs them, from the command line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import model_pb2, observer_service_pb2
from operator_console.cli.views_fleet import differences

Bandwatch = Callable[..., Any]


@pytest.fixture
def released(bandwatch: Bandwatch, coordinator: Any) -> Any:
    """Give a coordinator with a model that is on its way."""
    coordinator.models.append(model_pb2.Model(name="models/s1", band="bands/b5", cell="cells/oak"))
    made = bandwatch(
        *("releases", "create", "s1", "--shadow", "--canary-share", "0.2", "--minimum-time", "5m", "--deadline", "1h"),
    )
    assert made.code == 0
    return coordinator


def test_a_release_is_ordered_with_the_plan_that_was_given(released: Any) -> None:
    plan = released.releases[0].plan
    assert (plan.shadow, plan.canary_share, plan.at_once) == (True, 0.2, False)
    assert (plan.minimum_time.seconds, plan.deadline.seconds) == (300, 3600)


@pytest.mark.usefixtures("released")
def test_a_release_is_shown_with_its_reason_and_what_observers_said(bandwatch: Bandwatch) -> None:
    shown = bandwatch("releases", "get", "1").out
    for words in ("canary", "as the test wants", "3 were offered it, 2 run it, 1 failed", "500, 0 flagged", "3.10 dB"):
        assert words in shown
    assert "1h 0m 0s at most" in shown


@pytest.mark.usefixtures("released")
def test_one_command_puts_a_release_in_force_and_one_takes_it_back(bandwatch: Bandwatch, coordinator: Any) -> None:
    assert "active" in bandwatch("releases", "promote", "releases/1").out
    back = bandwatch("--json", "releases", "rollback", "1", "--reason", "too many alarms")
    document = json.loads(back.out)
    assert (document["state"], document["reason"]) == ("RELEASE_STATE_ROLLED_BACK", "too many alarms")
    assert document["instead"] == "nothing"
    assert coordinator.releases[0].state == model_pb2.RELEASE_STATE_ROLLED_BACK


def test_what_is_no_release_is_refused_before_anybody_is_asked(bandwatch: Bandwatch, coordinator: Any) -> None:
    assert bandwatch("releases", "get", "m-1").code == 2
    assert coordinator.asked == []


def observer(**reported: Any) -> admin.Observer:
    now = datetime.now(UTC)
    refused = reported.pop("refused", [])
    return admin.Observer(
        name="observers/roof",
        cell="cells/oak",
        revision=4,
        desired_serial=7,
        last_sync_time=to_timestamp(now - reported.pop("heard_before", timedelta())),
        create_time=to_timestamp(now - timedelta(days=1)),
        reported=observer_service_pb2.ReportedState(
            **{"running_serial": 7, "applied_revision": 4, "refused": refused, **reported}
        ),
    )


@pytest.mark.parametrize(
    ("reported", "found"),
    [
        ({}, []),
        ({"running_serial": 6}, ["runs releases/6"]),
        ({"running_serial": 0}, ["runs nothing"]),
        ({"applied_revision": 3}, ["is at revision 3 of 4"]),
        ({"heard_before": timedelta(minutes=9)}, ["is silent"]),
        (
            {
                "running_serial": 6,
                "refused": [
                    observer_service_pb2.RefusedRelease(serial=7, code="self_test_failed", reason="2 dB off"),
                ],
            },
            ["refuses releases/7: self_test_failed (2 dB off)"],
        ),
    ],
)
def test_what_an_observer_says_is_compared_with_what_it_is_to_be(reported: dict[str, Any], found: list[str]) -> None:
    assert differences(observer(**reported), datetime.now(UTC)) == found


def test_an_observer_that_never_called_is_said_to_be_so() -> None:
    assert differences(admin.Observer(name="observers/roof"), datetime.now(UTC)) == ["was never heard of"]


def test_the_fleet_is_shown_with_what_differs_and_since_when(bandwatch: Bandwatch, coordinator: Any) -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)
    coordinator.releases.append(model_pb2.Release(name="releases/7", serial=7, state_time=to_timestamp(since)))
    late, fine = observer(running_serial=6), observer()
    fine.name = "observers/mast"
    coordinator.observers += [late, fine]
    shown = bandwatch("fleet", "status").out
    assert "runs releases/6" in shown
    assert f"{since:%H:%M:%SZ}" in shown  # the date may stand on the line above
    assert "observers/mast" in shown
    assert "observers/mast" not in bandwatch("fleet", "status", "--differing").out
