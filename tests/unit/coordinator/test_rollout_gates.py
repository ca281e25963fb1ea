"""Gates let good releases through and bad ones not, and say how sure they are."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, binom, binomtest

from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.rollout_gates import (
    Answer,
    Course,
    Evidence,
    Judgement,
    decide,
    failure_bounds,
    judge,
    observers_needed,
)
from coordinator.services.releasing.spans import Difference

PLAN = RolloutPlan(
    canary_share=0.1,
    minimum_windows=1000,
    minimum_time_s=60,
    deadline_s=3600,
    failure_limit=0.05,
    error_margin_db=0.3,
    false_alarm_limit=0.05,
)
SEEDS = 200
GOOD = Evidence(
    "roof", heard=True, running=True, windows=5000, flagged=50, compared=True, excess=Difference(0.0, 0.01, 9)
)


def answers(*, well: int = 0, failed: int = 0, silent: int = 0, waiting: int = 0, absent: int = 0) -> list[Judgement]:
    counts = {
        Answer.WELL: well,
        Answer.FAILED: failed,
        Answer.SILENT: silent,
        Answer.WAITING: waiting,
        Answer.ABSENT: absent,
    }
    return [Judgement(answer, "a reason") for answer, count in counts.items() for _ in range(count)]


def course(judgements: list[Judgement], *, windows: int = 10**6, elapsed_s: float = 120.0) -> Course:
    return decide(judgements, PLAN, windows=windows, elapsed_s=elapsed_s).course


def simulate(canaries: int, failure_share: float, seed: int, *, elapsed_s: float) -> Course:
    """Return what becomes of a release that fails on that share of the observers, once all have answered."""
    failed = int((np.random.default_rng(seed).random(canaries) < failure_share).sum())
    return course(answers(well=canaries - failed, failed=failed), elapsed_s=elapsed_s)


@given(st.integers(0, 400), st.integers(1, 400))
def test_bounds_are_those_of_clopper_and_pearson(failures: int, tries: int) -> None:
    failures = min(failures, tries)
    lower, upper = failure_bounds(failures, tries)
    assert lower == pytest.approx(beta.ppf(0.05, failures, tries - failures + 1) if failures else 0.0)
    by_test = binomtest(failures, tries).proportion_ci(confidence_level=0.9, method="exact")  # 5 % on either side
    assert (lower, upper) == pytest.approx((by_test.low, by_test.high), abs=1e-6)


@given(st.integers(1, 200), st.floats(0.001, 0.999))
def test_bounds_hold_for_nineteen_of_twenty_releases_whatever_the_share(tries: int, share: float) -> None:
    counts = np.arange(tries + 1)
    chances = binom.pmf(counts, tries, share)
    bounds = np.array([failure_bounds(int(count), tries) for count in counts])
    assert chances[bounds[:, 0] <= share].sum() >= 0.95 - 1e-9
    assert chances[bounds[:, 1] >= share].sum() >= 0.95 - 1e-9


def test_nothing_tried_bounds_nothing() -> None:
    assert failure_bounds(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("limit", "needed"), [(0.05, 59), (0.1, 29), (0.01, 299)])
def test_so_many_observers_without_failure_show_that_fewer_than_the_limit_fail(limit: float, needed: int) -> None:
    assert observers_needed(limit) == needed
    assert failure_bounds(0, needed)[1] <= limit < failure_bounds(0, needed - 1)[1]


def test_canaries_that_never_fail_let_so_much_through_as_the_binomial_says() -> None:
    assert binom.pmf(0, 10, 0.10) == pytest.approx(0.35, abs=0.005)
    assert binom.pmf(0, 500, 0.01) == pytest.approx(0.007, abs=0.0005)
    few = [simulate(10, 0.10, seed, elapsed_s=120) for seed in range(SEEDS)]
    assert few.count(Course.ADVANCE) / SEEDS == pytest.approx(0.35, abs=0.1)


@pytest.mark.parametrize("canaries", [59, 100, 500])
def test_a_release_that_never_fails_passes_with_any_number_that_can_decide(canaries: int) -> None:
    assert {simulate(canaries, 0.0, seed, elapsed_s=120) for seed in range(SEEDS)} == {Course.ADVANCE}


@pytest.mark.parametrize("canaries", [59, 100, 500])
def test_a_release_that_fails_at_the_limit_passes_one_time_in_twenty_at_most(canaries: int) -> None:
    seen = [simulate(canaries, 0.05, seed, elapsed_s=3600) for seed in range(SEEDS)]
    assert seen.count(Course.ADVANCE) <= binom.ppf(0.999, SEEDS, 0.05)
    assert seen.count(Course.ROLL_BACK) == SEEDS - seen.count(Course.ADVANCE)


@pytest.mark.parametrize("canaries", [59, 100, 500])
def test_a_release_that_fails_on_a_fifth_never_passes(canaries: int) -> None:
    seen = [simulate(canaries, 0.20, seed, elapsed_s=120) for seed in range(SEEDS)]
    assert Course.ADVANCE not in seen
    assert seen.count(Course.ROLL_BACK) >= SEEDS * (0.9 if canaries < 100 else 0.99)


def test_a_release_that_fails_on_one_in_a_hundred_passes_with_five_hundred_canaries() -> None:
    seen = [simulate(500, 0.01, seed, elapsed_s=120) for seed in range(SEEDS)]
    assert seen.count(Course.ADVANCE) == SEEDS
    few = [simulate(10, 0.01, seed, elapsed_s=120) for seed in range(SEEDS)]
    assert few.count(Course.ADVANCE) / SEEDS == pytest.approx(0.99**10, abs=0.06)


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 50))
def test_nothing_goes_on_while_somebody_who_heard_the_offer_may_still_fail(
    well: int, failed: int, waiting: int
) -> None:
    verdict = decide(answers(well=well, failed=failed, waiting=waiting), PLAN, windows=10**6, elapsed_s=120)
    assert verdict.course is not Course.ADVANCE or waiting == 0
    assert verdict.reason
    assert 0 <= verdict.lower <= verdict.upper <= 1


def test_offline_observers_neither_count_nor_block() -> None:
    assert course(answers(well=3, absent=3)) is Course.ADVANCE
    assert course(answers(well=70, absent=500)) is Course.ADVANCE


def test_nobody_who_has_heard_the_offer_is_no_success_and_ends_at_the_deadline() -> None:
    assert course(answers(absent=3)) is Course.WAIT
    assert course(answers(absent=3), elapsed_s=3600) is Course.ROLL_BACK


def test_with_few_observers_one_failure_or_silence_is_one_too_many() -> None:
    assert course(answers(well=5, failed=1)) is Course.ROLL_BACK
    assert course(answers(well=5, silent=1)) is Course.ROLL_BACK
    verdict = decide(answers(well=1, failed=1), PLAN, windows=0, elapsed_s=0, names=["observers/a", "observers/b"])
    assert "observers/b: a reason" in verdict.reason


def test_silence_counts_like_failure_among_many() -> None:
    third = answers(well=70, silent=30)
    assert course(third) is Course.ROLL_BACK


@pytest.mark.parametrize(("windows", "elapsed_s"), [(999, 120.0), (1000, 59.0)])
def test_too_few_windows_or_too_little_time_is_waited_for(windows: int, elapsed_s: float) -> None:
    assert course(answers(well=6), windows=windows, elapsed_s=elapsed_s) is Course.WAIT


def test_what_has_not_passed_at_the_deadline_goes_back() -> None:
    verdict = decide(answers(well=6, waiting=1), PLAN, windows=10**6, elapsed_s=3600)
    assert verdict.course is Course.ROLL_BACK
    assert "deadline" in verdict.reason


def test_an_observer_that_runs_it_as_well_as_before_answers_well() -> None:
    assert judge(GOOD, PLAN).answer is Answer.WELL


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"heard": False}, Answer.ABSENT),
        ({"refusal": "self_test_failed (2 dB off)"}, Answer.FAILED),
        ({"silence": "was not heard of for 200 s after the offer"}, Answer.SILENT),
        ({"unscored": 1}, Answer.FAILED),
        ({"flagged": 400}, Answer.FAILED),
        ({"excess": Difference(0.5, 0.05, 9)}, Answer.FAILED),
        ({"excess": Difference(0.2, 0.2, 9)}, Answer.WAITING),
        ({"excess": None}, Answer.WAITING),
        ({"windows": 0, "flagged": 0}, Answer.WAITING),
        ({"excess": None, "compared": False}, Answer.WELL),
    ],
)
def test_each_thing_that_may_be_wrong_has_its_answer(change: dict[str, object], answer: Answer) -> None:
    assert judge(replace(GOOD, **change), PLAN).answer is answer  # type: ignore[arg-type] # fields by name


def test_flags_that_neighbouring_windows_share_count_in_part() -> None:
    flags = replace(GOOD, windows=240, flagged=24)  # 2 of 20 that share nothing: not surely above 5 %
    assert judge(flags, PLAN).answer is Answer.WELL
    assert failure_bounds(24, 240)[0] > PLAN.false_alarm_limit
    assert judge(replace(GOOD, windows=24000, flagged=2400), PLAN).answer is Answer.FAILED
