"""Plans of rollouts, and who is a canary."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.rollout_members import canaries, canary_size

USUAL = RolloutPlan(
    canary_share=0.1,
    minimum_windows=20_000,
    minimum_time_s=300.0,
    deadline_s=86_400.0,
    failure_limit=0.05,
    error_margin_db=0.3,
    false_alarm_limit=0.05,
)
FIGURES = st.floats(0, 1)
PLANS = st.builds(
    RolloutPlan,
    at_once=st.booleans(),
    shadow=st.booleans(),
    canary_share=FIGURES,
    minimum_windows=st.integers(0, 10**6),
    minimum_time_s=FIGURES,
    deadline_s=FIGURES,
    failure_limit=FIGURES,
    error_margin_db=FIGURES,
    false_alarm_limit=FIGURES,
)
FLEETS = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=60, unique=True)


@given(PLANS)
def test_a_kept_plan_reads_as_it_was_written_also_with_fields_of_a_later_version(plan: RolloutPlan) -> None:
    assert RolloutPlan.from_json({**plan.to_json(), "moon_phase": "full"}) == plan


@given(PLANS)
def test_what_a_plan_leaves_open_is_the_usual_and_the_rest_stays(plan: RolloutPlan) -> None:
    filled = plan.filled(USUAL)
    for name, value in plan.to_json().items():
        if not isinstance(value, bool):
            assert getattr(filled, name) == (value or getattr(USUAL, name))
    assert filled.filled(USUAL) == filled
    assert (filled.at_once, filled.shadow) == (plan.at_once, plan.shadow)
    assert plan.filled(replace(USUAL, shadow=True)).shadow


@given(st.integers(1, 10**6), FLEETS, st.floats(0.01, 1))
def test_the_canaries_are_at_most_the_share_at_least_one_and_the_same_in_any_order(
    serial: int, observers: list[str], share: float
) -> None:
    chosen = canaries(serial, observers, share)
    assert len(chosen) == canary_size(share, len(observers))
    assert len(chosen) == 1 or len(chosen) <= share * len(observers)
    assert canaries(serial, observers[::-1], share) == chosen
    assert set(canaries(serial, observers, share / 2)) <= set(chosen)


def test_each_release_tries_other_observers() -> None:
    observers = [f"o{number}" for number in range(100)]
    first = [canaries(serial, observers, 0.01)[0] for serial in range(1, 201)]
    assert len(set(first)) > 60


def test_nobody_is_a_share_of_nobody() -> None:
    assert canary_size(0.5, 0) == 0
