"""What is due for a cell is decided by how it stands, and by nothing else."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.services.training.schedule import (
    LEAST_CAPTURE,
    Capture,
    CellStanding,
    ObserverStanding,
    Train,
    Wait,
    decide,
    need_of,
    share_out,
)

FIVE_MINUTES = timedelta(minutes=5)


def standing(**changes: object) -> CellStanding:
    plain: dict[str, object] = {
        "cell_id": "oak",
        "student_data": FIVE_MINUTES,
        "student_lifetime": None,
        "refit_on_drift": True,
        "teacher": True,
        **changes,
    }
    return CellStanding(**plain)  # type: ignore[arg-type] # fields of many types


spans = st.timedeltas(timedelta(), timedelta(days=30))
standings = st.lists(
    st.builds(
        CellStanding,
        cell_id=st.sampled_from(["ash", "elm", "fir", "oak"]),
        student_data=st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
        student_lifetime=st.none() | spans,
        refit_on_drift=st.booleans(),
        teacher=st.booleans(),
        student_age=st.none() | spans,
        drift=st.sampled_from(["", "error 3.5 dB"]),
        busy=st.sampled_from(["", "runs/r-1 is queued"]),
        rest=st.sampled_from([timedelta(), timedelta(minutes=1)]),
        incident=st.sampled_from(["", "incidents/i-1"]),
        clean=st.timedeltas(timedelta(), timedelta(hours=2)),
        observers=st.lists(
            st.builds(
                ObserverStanding,
                observer_id=st.sampled_from(["mast", "roof", "van"]),
                room=st.timedeltas(timedelta(), timedelta(hours=1)),
                capturing=st.booleans(),
            ),
            unique_by=lambda observer: observer.observer_id,
            max_size=3,
        ).map(tuple),
    ),
    unique_by=lambda cell: cell.cell_id,
    max_size=4,
)


def only(cell: CellStanding) -> Wait | Train | Capture:
    (decision,) = decide([cell], open_runs=0, limit=1)
    return decision


def test_a_cell_with_a_teacher_and_five_clean_minutes_and_no_student_gets_one() -> None:
    assert only(standing(clean=FIVE_MINUTES)) == Train("oak", "it has no student")


def test_without_a_teacher_nothing_is_ordered() -> None:
    decision = only(standing(clean=FIVE_MINUTES, teacher=False))
    assert decision == Wait("oak", "it has no student; no teacher is in force that it could start from")


def test_a_student_that_is_as_it_should_be_is_left_alone() -> None:
    young = standing(student_age=timedelta(days=1), student_lifetime=timedelta(days=7), clean=FIVE_MINUTES)
    assert isinstance(only(young), Wait)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"student_lifetime": timedelta(days=7)}, "its student is 192.0 hours old"),
        ({"drift": "error 3.50 dB, calibrated at 2.60"}, "its student drifted (error 3.50 dB, calibrated at 2.60)"),
    ],
)
def test_a_student_that_is_too_old_or_drifted_is_refitted(changes: dict[str, object], why: str) -> None:
    assert only(standing(student_age=timedelta(days=8), clean=FIVE_MINUTES, **changes)) == Train("oak", why)


def test_drift_is_left_alone_where_the_policy_says_so() -> None:
    drifted = standing(student_age=timedelta(days=8), drift="error", refit_on_drift=False, clean=FIVE_MINUTES)
    assert isinstance(only(drifted), Wait)


def test_a_standing_interferer_is_not_learnt_as_normal_before_somebody_judged_it() -> None:
    drifted = standing(student_age=timedelta(days=8), drift="error", incident="incidents/i-1", clean=FIVE_MINUTES)
    decision = only(drifted)
    assert isinstance(decision, Wait)
    assert "incidents/i-1 is to be judged first" in decision.why


def test_observers_are_asked_for_what_is_missing_within_their_budgets() -> None:
    observers = (
        ObserverStanding("mast", timedelta(seconds=20)),
        ObserverStanding("roof", timedelta(hours=1)),
        ObserverStanding("van", timedelta(seconds=1)),
    )
    decision = only(standing(clean=timedelta(minutes=4), observers=observers))
    assert isinstance(decision, Capture)
    assert decision.shares == {"mast": timedelta(seconds=20), "roof": timedelta(seconds=40)}


def test_nobody_is_asked_twice_while_an_order_is_open() -> None:
    observers = (ObserverStanding("roof", timedelta(hours=1), capturing=True),)
    assert isinstance(only(standing(observers=observers)), Wait)


@given(standings, st.integers(0, 5), st.integers(1, 5))
def test_every_cell_gets_one_decision_and_no_more_runs_are_open_than_allowed(
    cells: list[CellStanding], open_runs: int, limit: int
) -> None:
    decisions = decide(cells, open_runs=open_runs, limit=limit)
    assert sorted(decision.cell_id for decision in decisions) == sorted(cell.cell_id for cell in cells)
    ordered = [decision for decision in decisions if isinstance(decision, Train)]
    assert len(ordered) <= max(0, limit - open_runs)
    by_id = {cell.cell_id: cell for cell in cells}
    for decision in ordered:
        cell = by_id[decision.cell_id]
        assert need_of(cell)
        assert cell.teacher
        assert not cell.busy
        assert cell.clean >= cell.student_data


@given(st.timedeltas(timedelta(), timedelta(hours=2)), st.dictionaries(st.text("abc", min_size=1), spans, max_size=6))
def test_shares_never_exceed_the_room_and_cover_what_is_missing_where_there_is_room(
    missing: timedelta, room: dict[str, timedelta]
) -> None:
    shares = share_out(missing, room)
    assert all(LEAST_CAPTURE <= share <= room[observer] for observer, share in shares.items())
    able = sum((space for space in room.values() if space >= LEAST_CAPTURE), timedelta())
    covered = sum(shares.values(), timedelta())
    assert covered >= min(missing, able) - timedelta(milliseconds=1)
    assert covered <= max(missing, timedelta()) + LEAST_CAPTURE * max(1, len(shares))


@given(standings, st.integers(1, 5))
def test_the_order_of_the_cells_changes_nothing(cells: list[CellStanding], limit: int) -> None:
    assert decide(cells, open_runs=0, limit=limit) == decide(list(reversed(cells)), open_runs=0, limit=limit)
