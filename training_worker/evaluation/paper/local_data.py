"""Beyond the paper: families of students as local data grow."""

from typing import Final

import numpy as np

from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.amounts import amounts_of
from training_worker.evaluation.paper.detecting import RATE
from training_worker.evaluation.paper.growing import CASES, Growth
from training_worker.evaluation.paper.jobs import Arrays
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.scenes import Scene, seconds_of
from training_worker.evaluation.paper.sections import Decibels, Experiment, Figure, Found, Section, Share, Table, Value
from training_worker.evaluation.paper.training import Skip
from training_worker.evaluation.paper.trials import SCORES, clean_scenes, scenes_of_anomalies
from training_worker.learning import networks
from training_worker.learning.calibration import DEFAULT_SCORE

_LABELS: Final = {networks.LSTM: "LSTM", networks.LINEAR: "linear", networks.HYBRID: "hybrid"}


def _jobs(plan: Plan) -> dict[str, Growth]:
    cell = plan.places.neighbours[0]
    amounts = amounts_of(plan, cell)
    return {name: _growth(plan, cell, name, amounts[name]) for name in plan.scale.grown}


def _growth(plan: Plan, cell: Cell, name: str, scenes: tuple[Scene, ...]) -> Growth:
    return Growth(
        name,
        Skip(plan.unified(plan.places.home)),
        scenes,
        clean_scenes(plan, cell.observers),
        scenes_of_anomalies(plan, cell.observers),
        cell.width_hz,
        plan.scale.stride_frames,
        plan.seed,
    )


def _section(plan: Plan, found: Found) -> Section:
    jobs = _jobs(plan)
    made = {name: found(job) for name, job in jobs.items()}
    heard = {name: seconds_of(job.local) for name, job in jobs.items()}
    errors = {
        name: {family: Decibels(*map(float, arrays[f"{family}/error_db"])) for family in _LABELS}
        for name, arrays in made.items()
    }
    lowest = {name: min(_LABELS, key=lambda family: errors[name][family].mean) for name in errors}
    lines = [
        plots.Line(_LABELS[family], list(heard.values()), [one[family].mean for one in errors.values()])
        for family in _LABELS
    ]
    cell = plan.places.neighbours[0]
    return Section(
        name="Beyond the paper",
        title="Families of students as local data grow",
        stated="Not in the paper: a student that keeps the LSTM of its teacher, or that and the teacher's combinations "
        "of lagged powers (hybrid), or a linear one of its own, all solved exactly. The teacher is a hybrid, so its "
        "LSTM is pulled toward the hybrid's dense layer without the skip, not toward one of its own as in figure 9.",
        tables=(
            Table(
                f"Error in dB in {cell.id} on another day, mean (deviation)",
                ("local data", "seconds heard", *_LABELS.values()),
                tuple((name, f"{heard[name]:.3g} s", *errors[name].values()) for name in made),
            ),
            Table(
                f"Detected at matched 1 %, mean over {', '.join(case.label for case in CASES)}, sudden and standing; "
                "windows are judged each by itself",
                ("local data", *(f"{label}, {score}" for label in _LABELS.values() for score in SCORES)),
                tuple((name, *_shares(arrays, "detected")) for name, arrays in made.items()),
            ),
            Table(
                "False alarms on another day at the thresholds that come with the student for 1 %",
                ("local data", *(f"{label}, {score}" for label in _LABELS.values() for score in SCORES)),
                tuple((name, *_shares(arrays, "false-alarms")) for name, arrays in made.items()),
            ),
        ),
        figures=(
            Figure("growth", f"Students of {cell.id}.", plots.lines(lines, "seconds heard", "error in dB", log_x=True)),
        ),
        seen=_seen(lowest, made),
    )


def _shares(arrays: Arrays, what: str) -> tuple[Value, ...]:
    return tuple(Share(float(np.mean(arrays[f"{family}/{what}/{score}"]))) for family in _LABELS for score in SCORES)


def _seen(lowest: dict[str, str], made: dict[str, Arrays]) -> str:
    by_family: dict[str, list[str]] = {}
    for name, family in lowest.items():
        by_family.setdefault(family, []).append(name)
    rates = {
        (name, family): float(arrays[f"{family}/false-alarms/{DEFAULT_SCORE}"])
        for name, arrays in made.items()
        for family in _LABELS
    }
    highest = max(rates, key=lambda key: rates[key])
    return (
        "Lowest error: "
        + "; ".join(f"{_LABELS[family]} with {', '.join(names)}" for family, names in by_family.items())
        + f". The highest rate of false alarms at thresholds for {100 * RATE:.0f} % is {100 * rates[highest]:.1f} % "
        f"({_LABELS[highest[1]]} with {highest[0]}, score {DEFAULT_SCORE})."
    )


GROWTH = Experiment("growth", lambda plan: tuple(_jobs(plan).values()), _section)
"""Families of students."""
