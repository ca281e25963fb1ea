"""Which windows are judged, undisturbed and with which anomalies."""

from collections.abc import Iterable, Sequence
from typing import Final

from bandwatch.lte.anomalies.kinds import KEYED_PHASES, OFDM_WIDTHS_HZ
from training_worker.evaluation.paper.detecting import LEAD_S, RATE, Case, Clean, Disturbed
from training_worker.evaluation.paper.jobs import Arrays, Job
from training_worker.evaluation.paper.places import Observer
from training_worker.evaluation.paper.plan import TEST_DAY, Plan
from training_worker.evaluation.paper.scenes import DAY_S, HOUR_S, Scene, day
from training_worker.evaluation.rates import exceeding, matched_threshold
from training_worker.learning.calibration import DEFAULT_SCORE

ERROR: Final = "error"
"""The paper's score."""
SCORES: Final = (ERROR, DEFAULT_SCORE)
"""The paper's score and our default."""


def clean(plan: Plan, observers: Sequence[Observer]) -> Clean:
    """Return the job that judges undisturbed windows of observers of the home cell."""
    return Clean(plan.unified(plan.places.home), clean_scenes(plan, observers))


def disturbed(plan: Plan, case: Case, observers: Sequence[Observer]) -> Disturbed:
    """Return the job that judges windows with an anomaly at observers of the home cell."""
    home = plan.places.home
    return Disturbed(plan.unified(home), scenes_of_anomalies(plan, observers), case, home.width_hz, plan.seed)


def judged(plan: Plan, cases: Iterable[Case], observers: Sequence[Observer]) -> tuple[Job, ...]:
    """Return the jobs that judge undisturbed windows and cases."""
    return (clean(plan, observers), *(disturbed(plan, case, observers) for case in cases))


def clean_scenes(plan: Plan, observers: Sequence[Observer]) -> tuple[Scene, ...]:
    """Return scenes in which nothing unusual happens."""
    heard_by = [observer.id for observer in observers]
    return day(heard_by, TEST_DAY, plan.scale.clean_s, plan.scale.stretch_s, episode=plan.seed)


def scenes_of_anomalies(plan: Plan, observers: Sequence[Observer]) -> tuple[Scene, ...]:
    """Return scenes that anomalies are mixed into."""
    return tuple(
        Scene(observer.id, TEST_DAY * DAY_S + hour * HOUR_S, LEAD_S + plan.scale.judged_s, episode=plan.seed)
        for hour in plan.scale.judged_hours
        for observer in observers
    )


def interference(plan: Plan) -> list[Case]:
    """Return every kind of interference at every ratio."""
    return [Case(kind, ratio) for kind in (*OFDM_WIDTHS_HZ, *KEYED_PHASES) for ratio in plan.scale.ratios_db]


def detected(undisturbed: Arrays, of_case: Arrays, mode: str, score: str) -> float:
    """Return the share detected at a threshold that 1 % of the undisturbed windows exceed."""
    return exceeding(of_case[f"{mode}/{score}"], matched_threshold(undisturbed[score], RATE))


def nominal(undisturbed: Arrays, of_case: Arrays, mode: str, score: str) -> float:
    """Return the share detected at the threshold that comes with the model for 1 %."""
    return exceeding(of_case[f"{mode}/{score}"], float(undisturbed[f"bound/{score}"]))


def realised(undisturbed: Arrays, score: str) -> float:
    """Return the share of undisturbed windows above the threshold that comes with the model for 1 %."""
    return exceeding(undisturbed[score], float(undisturbed[f"bound/{score}"]))
