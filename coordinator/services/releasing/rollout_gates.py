"""Whether a release may go on: numbers in, verdict out. Bounds are exact, and what is missing never counts as good."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scipy.special import betaincinv

from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.spans import Difference

CONFIDENCE: Final = 0.95
"""Of every one-sided bound."""
DEPENDENT_WINDOWS: Final = 12
"""Windows, 25 frames apart, that share something: the score for standing signals adds up 8 windows of 25 target frames,
and the first of them rests on 100 input frames, which makes 300 frames. Windows further apart share no frame."""


class Answer(StrEnum):
    """What one observer says of a release."""

    ABSENT = "absent"
    """It has not been heard since the offer: it neither counts nor blocks."""
    WAITING = "waiting"
    FAILED = "failed"
    SILENT = "silent"
    WELL = "well"


@dataclass(frozen=True)
class Evidence:
    """What is known of one observer that is to try a release.

    `silence` says in which way it was silent for longer than the grace period; `compared` whether there is a release to
    compare with, and `excess` by how much the error is above that one's, in dB, once enough is known.
    """

    observer_id: str
    heard: bool = False
    running: bool = False
    refusal: str = ""
    silence: str = ""
    windows: int = 0
    flagged: int = 0
    unscored: int = 0
    compared: bool = False
    excess: Difference | None = None


@dataclass(frozen=True)
class Judgement:
    """The answer of one observer, and why."""

    answer: Answer
    reason: str = ""


class Course(StrEnum):
    """What is to happen with a release."""

    WAIT = "wait"
    ADVANCE = "advance"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class Verdict:
    """What is to happen and why, with exact bounds of the share of observers that fail."""

    course: Course
    reason: str
    lower: float
    upper: float


def failure_bounds(failures: float, tries: float) -> tuple[float, float]:
    """Return lower and upper one-sided bounds (Clopper and Pearson 1934) of a share; 0 and 1 where nothing was tried.

    Counts need not be whole, so that dependent things may count in part.
    """
    if tries <= 0:
        return 0.0, 1.0
    rest = tries - failures
    lower = float(betaincinv(failures, rest + 1, 1 - CONFIDENCE)) if failures > 0 else 0.0
    upper = float(betaincinv(failures + 1, rest, CONFIDENCE)) if rest > 0 else 1.0
    return lower, upper


def observers_needed(failure_limit: float) -> int:
    """Return how many observers must all succeed before the upper bound of the failure share is under the limit."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-failure_limit)) if failure_limit > 0 else 10**9


def judge(evidence: Evidence, plan: RolloutPlan) -> Judgement:
    """Return what one observer says of a release. What is not known yet is waited for."""
    if not evidence.heard:
        return Judgement(Answer.ABSENT)
    if evidence.refusal:
        return Judgement(Answer.FAILED, f"refused it: {evidence.refusal}")
    if evidence.silence:
        return Judgement(Answer.SILENT, evidence.silence)
    if evidence.unscored:
        return Judgement(Answer.FAILED, f"{evidence.unscored} windows got no finite score")
    alarms, _ = failure_bounds(evidence.flagged / DEPENDENT_WINDOWS, evidence.windows / DEPENDENT_WINDOWS)
    if alarms > plan.false_alarm_limit:
        return Judgement(
            Answer.FAILED,
            f"it flags {evidence.flagged / evidence.windows:.1%} of the windows, surely more than {alarms:.1%}, and "
            f"{plan.false_alarm_limit:.1%} are allowed",
        )
    return _judge_error(evidence, plan.error_margin_db)


def _judge_error(evidence: Evidence, margin_db: float) -> Judgement:
    if not evidence.windows:
        return Judgement(Answer.WAITING, "has reported no windows")
    if not evidence.compared:
        return Judgement(Answer.WELL)
    if evidence.excess is None:
        return Judgement(Answer.WAITING, "has too few spans to compare errors")
    if evidence.excess.lower > margin_db:
        return Judgement(
            Answer.FAILED,
            f"its error is {evidence.excess.mean:+.2f} dB from the active release's, surely more than "
            f"{evidence.excess.lower:+.2f} dB, and {margin_db:g} dB are allowed",
        )
    if evidence.excess.upper > margin_db:
        return Judgement(Answer.WAITING, f"its error may still be {evidence.excess.upper:+.2f} dB above")
    return Judgement(Answer.WELL)


def decide(
    judgements: Sequence[Judgement], plan: RolloutPlan, *, windows: int, elapsed_s: float, names: Sequence[str] = ()
) -> Verdict:
    """Return what is to happen with a release that so many observers judged, so long after the stage began.

    With enough observers the bounds decide: back when the lower one is above the limit, on when the upper one is under
    it. With fewer they cannot, so one failure is one too many, and all must have answered well. Nothing goes on while
    somebody who heard the offer may still fail.
    """
    counts = Counter(judgement.answer for judgement in judgements)
    failures = counts[Answer.FAILED] + counts[Answer.SILENT]
    tries = failures + counts[Answer.WELL]
    lower, upper = failure_bounds(failures, tries)
    few = len(judgements) < observers_needed(plan.failure_limit)

    def verdict(course: Course, reason: str) -> Verdict:
        return Verdict(course, reason, lower, upper)

    if lower > plan.failure_limit or (few and failures):
        share = (
            f"{failures} of {tries} observers failed (at least {lower:.1%} of all, {plan.failure_limit:.1%} allowed)"
        )
        return verdict(Course.ROLL_BACK, f"{share}; {_first_failure(judgements, names)}")
    missing = _missing(
        counts, plan, windows=windows, elapsed_s=elapsed_s, undecided=not few and upper > plan.failure_limit
    )
    if not missing:
        passed = (
            f"all {tries} that answered ran it well over {windows} windows"
            if few
            else (f"{failures} of {tries} observers failed, at most {upper:.1%} of all, over {windows} windows")
        )
        return verdict(Course.ADVANCE, passed)
    if elapsed_s >= plan.deadline_s:
        return verdict(Course.ROLL_BACK, f"the deadline of {plan.deadline_s:g} s passed: {missing}")
    return verdict(Course.WAIT, missing)


def _missing(counts: Counter[Answer], plan: RolloutPlan, *, windows: int, elapsed_s: float, undecided: bool) -> str:
    """Return what is still missing before a release may go on, or nothing."""
    if not counts[Answer.WELL]:
        return "no observer has run it well yet"
    if counts[Answer.WAITING]:
        return f"{counts[Answer.WAITING]} observers have still to answer"
    if windows < plan.minimum_windows:
        return f"{windows} of {plan.minimum_windows} windows are reported"
    if undecided:
        return f"so many observers cannot tell yet whether more than {plan.failure_limit:.1%} would fail"
    if elapsed_s < plan.minimum_time_s:
        return f"{elapsed_s:.0f} of {plan.minimum_time_s:g} s have passed"
    return ""


def _first_failure(judgements: Sequence[Judgement], names: Sequence[str]) -> str:
    for place, judgement in enumerate(judgements):
        if judgement.answer in (Answer.FAILED, Answer.SILENT):
            who = names[place] if place < len(names) else "an observer"
            return f"{who}: {judgement.reason}"
    return ""
