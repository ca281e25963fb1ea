"""Item 4: whatever is killed at whatever moment, an ordered run ends active, and nothing acknowledged is lost."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from bandwatch.wire.v1.model_pb2 import (
    TRAINING_RUN_STATE_FAILED,
    TRAINING_RUN_STATE_QUEUED,
    TRAINING_RUN_STATE_SUCCEEDED,
    RolloutPlan,
    TrainingRun,
)
from tests.fault_table import RecordProperty
from tests.fleet.conftest import ItemResult
from tests.fleet.fleets import Fleet, assert_nothing_lost, prepared_teacher, two_agents
from tests.integration.platforms import until

POINTS: Final = int(os.environ.get("BANDWATCH_FLEET_POINTS") or 30)
SEED: Final = int(os.environ.get("BANDWATCH_FLEET_SEED") or random.SystemRandom().randrange(10**6))
"""Set the variables to repeat what a session printed, or fewer points of it."""
FAULTS: Final[dict[str, Callable[[Fleet], object]]] = {
    "coordinator": lambda fleet: fleet.stack.kill("coordinator"),
    "schedule": lambda fleet: fleet.stack.kill("schedule"),
    "worker": lambda fleet: fleet.stack.kill("worker-1"),
    "attempt": Fleet.kill_attempt,
    "postgres": lambda fleet: fleet.stack.kill("postgres"),
    "redis": lambda fleet: fleet.stack.kill("redis"),
    "agent": lambda fleet: fleet.kill_agent("mast"),
    "flushall": Fleet.flush_redis,
}


STAGES: Final = ("ordering", "queued", "claimed", "fetching", "training", "publishing", "released")
_STAGE_OF: Final = {"fetching": "fetching", "checking": "publishing", "built": "publishing"}
"""By the first word of what a run tells of itself; everything else is training."""
LONGEST_DELAY_S: Final = 1.0


@dataclass(frozen=True)
class Point:
    """What breaks, and when: so long after a run has come to a stage."""

    fault: str
    stage: str
    delay_s: float


def points(seed: int) -> list[Point]:
    """Draw the points; every fault and every stage comes about as often, and no fault soon after itself."""
    dice = random.Random(seed)
    faults, stages = _dealt(dice, sorted(FAULTS)), _dealt(dice, STAGES)
    return [Point(next(faults), next(stages), dice.uniform(0, LONGEST_DELAY_S)) for _ in range(POINTS)]


def _dealt(dice: random.Random, cards: Sequence[str]) -> Iterator[str]:
    while True:
        yield from dice.sample(cards, len(cards))


class Trial:
    """One run from its order until every agent runs its model."""

    def __init__(self, fleet: Fleet, teacher: str, number: int) -> None:
        self._fleet = fleet
        self._teacher = teacher
        self._run_id = f"trial-{number}"
        self._stages = {stage: threading.Event() for stage in STAGES}
        self._enter(STAGES[0])

    def until_active(self) -> None:
        """Order a student and wait until every agent runs it."""
        until(self._is_ordered, "the order taken")
        try:
            until(self._is_active, f"{self._run_id} active", within_s=180)
        except pytest.fail.Exception:
            print(self._fleet.client.get_run(f"runs/{self._run_id}"))  # noqa: T201
            print(self._fleet.last_words())  # noqa: T201
            raise

    def wait_for(self, stage: str) -> None:
        """Wait until the run has come to a stage, or past it."""
        assert self._stages[stage].wait(180), f"{self._run_id} came to no {stage}"

    def _enter(self, stage: str) -> None:
        self.stage = stage
        for passed in STAGES[: STAGES.index(stage) + 1]:
            self._stages[passed].set()

    def _is_ordered(self) -> bool:
        # The same identifier gives the same run, so an order whose answer got lost may be given again.
        self._fleet.client.create_student_run(
            "cells/oak",
            teachers=[self._teacher],
            frozen_layers=0,
            max_epochs=1,
            stride_frames=50,
            release_on_success=True,
            plan=RolloutPlan(at_once=True),
            run_id=self._run_id,
        )
        return True

    def _is_active(self) -> bool:
        run = self._fleet.client.get_run(f"runs/{self._run_id}")
        self._enter(_stage(run))
        assert run.state != TRAINING_RUN_STATE_FAILED, run.last_error
        assert not run.remark, run.remark
        return run.state == TRAINING_RUN_STATE_SUCCEEDED and self._fleet.runs_everywhere(run.model)


def _stage(run: TrainingRun) -> str:
    if run.state == TRAINING_RUN_STATE_QUEUED:
        return "queued"
    if run.state == TRAINING_RUN_STATE_SUCCEEDED:
        return "released"
    told = run.progress.stage.split()
    return _STAGE_OF.get(told[0], "training") if told else "claimed"


@pytest.mark.fault(
    "agent, coordinator, schedule, worker, attempt, PostgreSQL or Redis killed at a random moment of a run",
    "the run ends with its model active; no acknowledged segment is lost",
)
@pytest.mark.fault(
    "Redis emptied at a random moment of a run",
    "the run ends with its model active; no acknowledged segment is lost",
)
@pytest.mark.fleet
@pytest.mark.timeout(1500)
def test_whatever_is_killed_at_whatever_moment_a_run_ends_active_and_nothing_acknowledged_is_lost(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult, record_property: RecordProperty
) -> None:
    drawn = points(SEED)
    faults, stages = Counter(point.fault for point in drawn), Counter(point.stage for point in drawn)
    assert min(*faults.values(), *stages.values()) >= POINTS // 10
    with two_agents(open_folder, monkeypatch) as fleet:
        teacher = prepared_teacher(fleet)
        undisturbed_s = _duration_s(Trial(fleet, teacher, 0).until_active)
        print(f"seed {SEED}; an undisturbed run takes {undisturbed_s:.1f} s")  # noqa: T201 - to repeat it
        for number, point in enumerate(drawn, start=1):
            until(fleet.is_whole, "everything running again")
            trial = Trial(fleet, teacher, number)
            with ThreadPoolExecutor(1) as breaker:
                seen = breaker.submit(_break, fleet, point, trial)
                took_s = _duration_s(trial.until_active)
            trial.until_active()  # where the fault came last of all
            print(f"{number}: {point}, seen {seen.result()}: active after {took_s:.1f} s")  # noqa: T201
        fleet.end()
        segments = assert_nothing_lost(fleet)
    record_property("seed", SEED)
    record_property("segments", segments)
    item_result(
        4,
        tried=f"kill -9 or flushall ({_listed(faults)}) at a random moment of one run after it came to a stage "
        f"({_listed(stages)}), seed {SEED}; every run ended active at both agents",
        how_often=POINTS,
        lost=f"no run, none of {segments} segments",
    )


def _break(fleet: Fleet, point: Point, trial: Trial) -> str:
    """Break something at its moment, and return the stage that the run was seen in."""
    trial.wait_for(point.stage)
    threading.Event().wait(point.delay_s)
    stage = trial.stage
    FAULTS[point.fault](fleet)
    return stage


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _duration_s(work: Callable[[], object]) -> float:
    begun_s = time.monotonic()
    work()
    return time.monotonic() - begun_s
