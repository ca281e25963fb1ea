"""Figure 13: the network against simple methods, on the same windows."""

from typing import Final

import numpy as np

from training_worker.evaluation.injection import MODES
from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.claims import Claim, less
from training_worker.evaluation.paper.detecting import RATE
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.sections import Area, Experiment, Figure, Found, Section, Share, Table, Value
from training_worker.evaluation.paper.trials import ERROR, SCORES, clean, disturbed, interference, judged
from training_worker.evaluation.rates import ROC_RATES, area, detections
from training_worker.learning.baselines import BASELINES

_IN_WORDS: Final = {"kalman": "Kalman filter", "one-class-svm": "one-class SVM"}
_NAMES: Final = {score: f"LSTM, {score}" for score in SCORES} | {
    name: _IN_WORDS.get(name, name.replace("-", " ")) for name in BASELINES
}


def _section(plan: Plan, found: Found) -> Section:
    staying = plan.places.home.staying
    undisturbed = found(clean(plan, staying))
    cases = [found(disturbed(plan, case, staying)) for case in interference(plan)]
    pooled = {
        (mode, name): np.concatenate([of_case[f"{mode}/{name}"] for of_case in cases])
        for mode in MODES
        for name in _NAMES
    }
    areas = {key: area(undisturbed[key[1]], scores) for key, scores in pooled.items()}
    at_rate = {key: detections(undisturbed[key[1]], scores, (RATE,))[0] for key, scores in pooled.items()}
    rows: list[tuple[Value, ...]] = [
        (label, *(value for mode in MODES for value in (Area(areas[mode, name]), Share(at_rate[mode, name]))))
        for name, label in _NAMES.items()
    ]
    head = ("method", *(f"{mode}, {what}" for mode in MODES for what in ("area", "detected at 1 %")))
    best = {mode: max(BASELINES, key=lambda name: areas[mode, name]) for mode in MODES}
    return Section(
        name="Figure 13",
        title="The network against simple methods",
        stated="The LSTM is above a Kalman filter, a one-class support vector machine and a rule on received power; "
        "areas are not stated.",
        tables=(Table("All interference of figure 12 together, observers that stay", head, tuple(rows)),),
        figures=tuple(
            Figure(
                f"figure-13-{mode}",
                f"{mode.capitalize()} interference, all kinds and ratios.",
                plots.lines(
                    [
                        plots.Line(
                            label,
                            ROC_RATES,
                            detections(undisturbed[name], pooled[mode, name], ROC_RATES),
                            dashed=name in BASELINES,
                        )
                        for name, label in _NAMES.items()
                    ],
                    "rate of false alarms",
                    "windows detected",
                    diagonal=True,
                ),
            )
            for mode in MODES
        ),
        seen=" ".join(_told(mode, best[mode], areas) for mode in MODES),
        claims=tuple(
            Claim(
                f"The LSTM with {'the error' if score == ERROR else f'the score {score}'} is above every simple "
                "method.",
                tuple(
                    less(f"{_NAMES[name]}, {mode}", areas[mode, name], areas[mode, score], unit="")
                    for mode in MODES
                    for name in BASELINES
                ),
            )
            for score in SCORES
        ),
    )


def _told(mode: str, best: str, areas: dict[tuple[str, str], float]) -> str:
    ahead = [_NAMES[score] for score in SCORES if areas[mode, score] > areas[mode, best]]
    numbers = ", ".join(f"{_NAMES[score]} {areas[mode, score]:.3f}" for score in SCORES)
    judged = f"above it: {' and '.join(ahead)}" if ahead else "neither score of the LSTM is above it"
    return (
        f"Best simple method on {mode} interference: {_NAMES[best]}, with an area of {areas[mode, best]:.3f}; {judged} "
        f"({numbers})."
    )


FIGURE_13 = Experiment("figure-13", lambda plan: judged(plan, interference(plan), plan.places.home.staying), _section)
"""Simple methods."""
