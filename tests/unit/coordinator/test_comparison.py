"""One observer off while its neighbours are fine is a sensor fault; all off together is spectrum."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.registry.policies import HealthFinding
from coordinator.services.detection.comparison import Past, Reading, judge
from coordinator.services.training.drift import describe_drift

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = [f"o{number}" for number in range(10)]


def reading(name: str, **changes: float | None) -> Reading:
    plain: dict[str, float | None] = {
        "noise_floor_dbm": -100.0,
        "clipped_share": 0.0,
        "noise_only_share": 0.0,
        "anomalous_share": 0.01,
        "false_alarm_rate": 0.01,
        **changes,
    }
    return Reading(name, NOW, **plain)  # type: ignore[arg-type] # fields of many types


SYMPTOMS: list[dict[str, float | None]] = [
    {"noise_only_share": 1.0, "anomalous_share": 1.0},
    {"clipped_share": 0.4},
    {"noise_floor_dbm": -121.0},
]
PAST = {name: Past(-100.0, 0.0) for name in NAMES}


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_one_observer_off_while_its_neighbours_are_fine_is_a_sensor_fault(symptom: dict[str, float | None]) -> None:
    judged = judge([reading("o0", **symptom), *map(reading, NAMES[1:])], PAST)
    assert judged["o0"].finding is HealthFinding.SENSOR_FAULT
    assert "9 of 9 others are fine" in judged["o0"].reason
    assert {judged[name].finding for name in NAMES[1:]} == {HealthFinding.GOOD}


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_all_off_together_is_spectrum(symptom: dict[str, float | None]) -> None:
    judged = judge([reading(name, **symptom) for name in NAMES], PAST)
    assert {found.finding for found in judged.values()} == {HealthFinding.SPECTRUM}


def test_an_antenna_that_was_never_alive_is_told_by_the_neighbours() -> None:
    judged = judge([reading("o0", noise_only_share=1.0), reading("o1"), reading("o2")], {})
    assert judged["o0"].finding is HealthFinding.SENSOR_FAULT


def test_where_nobody_ever_heard_a_signal_silence_is_normal() -> None:
    quiet = [reading(name, noise_only_share=1.0) for name in NAMES]
    judged = judge(quiet, {name: Past(-100.0, 1.0) for name in NAMES})
    assert {found.finding for found in judged.values()} == {HealthFinding.GOOD}


def test_whoever_is_alone_in_its_cell_and_off_is_undecided() -> None:
    assert judge([reading("o0", clipped_share=0.5)], PAST)["o0"].finding is HealthFinding.UNDECIDED


def test_anomalies_that_only_one_sound_radio_sees_are_no_sensor_fault() -> None:
    judged = judge([reading("o0", anomalous_share=0.6), *map(reading, NAMES[1:])], PAST)
    assert judged["o0"].finding is HealthFinding.UNDECIDED


@given(st.sets(st.sampled_from(NAMES)), st.sampled_from(SYMPTOMS))
def test_nobody_without_a_symptom_is_accused_and_everybody_is_judged(
    off: set[str], symptom: dict[str, float | None]
) -> None:
    judged = judge([reading(name, **(symptom if name in off else {})) for name in NAMES], PAST)
    assert judged.keys() == set(NAMES)
    assert {name for name in NAMES if judged[name].finding is not HealthFinding.GOOD} == off


@pytest.mark.parametrize(
    ("windows", "flagged", "mean_db", "drifted"),
    [
        (5000, 50, 2.6, ""),
        (5000, 50, 3.3, "error 3.30 dB, calibrated at 2.60"),
        (5000, 500, 2.6, "10.0% of windows flagged, allowed 1.0%"),
        (100, 100, 9.0, ""),
    ],
)
def test_drift_is_told_from_enough_windows_by_error_or_rate(
    windows: int, flagged: int, mean_db: float, drifted: str
) -> None:
    assert describe_drift(windows, flagged, windows * mean_db, 0.01, 2.6) == drifted
