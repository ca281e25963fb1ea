"""Figure 12: foreign transmitters, and how many windows are found at every rate of false alarms."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from training_worker.evaluation.injection import MODES, STANDING
from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.detecting import Case
from training_worker.evaluation.paper.jobs import Arrays
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.sections import Area, Experiment, Figure, Found, Section, Table, Value
from training_worker.evaluation.paper.trials import ERROR, SCORES, clean, disturbed, interference, judged
from training_worker.evaluation.rates import ROC_RATES, area, detections
from training_worker.learning.calibration import DEFAULT_SCORE

_CLEARLY_BELOW_CHANCE = 0.45

Areas = dict[tuple[Case, str, str], float]
"""Areas under the curve by case, mode and score."""


def _section(plan: Plan, found: Found) -> Section:
    staying = plan.places.home.staying
    undisturbed = found(clean(plan, staying))
    cases = {case: found(disturbed(plan, case, staying)) for case in interference(plan)}
    areas: Areas = {
        (case, mode, score): area(undisturbed[score], of_case[f"{mode}/{score}"])
        for case, of_case in cases.items()
        for mode in MODES
        for score in SCORES
    }
    columns = [(mode, score) for mode in MODES for score in SCORES]
    rows: list[tuple[Value, ...]] = [
        (case.label, *(Area(areas[case, mode, score]) for mode, score in columns)) for case in cases
    ]
    means = [Area(float(np.mean([areas[case, mode, score] for case in cases]))) for mode, score in columns]
    return Section(
        name="Figure 12",
        title="Interference: false alarms and detections at every threshold",
        stated="Receiver operating characteristics for OFDM of 5, 3, 2 and 1 MHz, and QPSK and BPSK of 200 kHz; areas "
        "are not stated.",
        tables=(
            Table(
                "Area under the curve, observers that stay; the ratio is the power of the interference over that of "
                "the cell",
                ("interference", *(f"{mode}, {score}" for mode, score in columns)),
                (*rows, ("mean", *means)),
            ),
        ),
        figures=tuple(_figure(plan, undisturbed, cases, mode) for mode in MODES),
        seen=_seen(list(cases), areas),
    )


def _figure(plan: Plan, undisturbed: Arrays, cases: Mapping[Case, Arrays], mode: str) -> Figure:
    panels: dict[str, list[plots.Line]] = {}
    for score in SCORES:
        for case, of_case in cases.items():
            shares = detections(undisturbed[score], of_case[f"{mode}/{score}"], ROC_RATES)
            line = plots.Line(f"{case.ratio_db:+.0f} dB, {score}", ROC_RATES, shares, dashed=score == ERROR)
            panels.setdefault(case.name, []).append(line)
    ratios = len(plan.scale.ratios_db)
    coloured = {
        name: [replace(line, colour=number % ratios) for number, line in enumerate(series)]
        for name, series in panels.items()
    }
    return Figure(
        f"figure-12-{mode}",
        f"{mode.capitalize()} interference. Solid: the score {DEFAULT_SCORE}; dashed: the paper's error.",
        plots.line_panels(coloured, "rate of false alarms", "windows detected", 3),
        {name: {line.name: list(line.y) for line in series} for name, series in panels.items()},
    )


def _seen(cases: list[Case], areas: Areas) -> str:
    ahead = sum(areas[case, mode, DEFAULT_SCORE] > areas[case, mode, ERROR] for case in cases for mode in MODES)
    hardest = min(cases, key=lambda case: max(areas[case, mode, DEFAULT_SCORE] for mode in MODES))
    below = [case for case in cases if areas[case, STANDING, ERROR] < _CLEARLY_BELOW_CHANCE]
    return (
        f"The score {DEFAULT_SCORE} has the larger area in {ahead} of {len(MODES) * len(cases)} cases: the error is a "
        "mean over all 128 bins, in which a narrow signal drowns. "
        + (
            f"In {len(below)} of {len(cases)} cases, standing interference even lowers the error: it fills what the "
            "traffic leaves empty, and what is always there is foretold well. "
            if below
            else ""
        )
        + f"Hardest is {hardest.label}."
    )


FIGURE_12 = Experiment("figure-12", lambda plan: judged(plan, interference(plan), plan.places.home.staying), _section)
"""Interference."""
