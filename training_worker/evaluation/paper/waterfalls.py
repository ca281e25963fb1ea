"""Figures 4 and 11: frames as they were measured and predicted, without and with anomalies."""

from dataclasses import replace
from typing import Final

import numpy as np

from bandwatch.spectrogram.bands import FRAME_SECONDS, TARGET_FRAMES
from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.detecting import LEAD_S, Case
from training_worker.evaluation.paper.measuring import Floats, Picture
from training_worker.evaluation.paper.plan import LOCAL_HOUR, TEST_DAY, Plan
from training_worker.evaluation.paper.scenes import DAY_S, HOUR_S, Scene
from training_worker.evaluation.paper.sections import Experiment, Figure, Found, Section

SHOWN: Final = (Case("ofdm-2mhz", 0.0), Case("qpsk-200khz", 0.0), Case("down-66"), Case("power-5db"))
"""Anomalies that are drawn: a wide one, a narrow one, one that takes away, and one that changes the level."""
SHOWN_FRAMES: Final = 200
_START_S: Final = TEST_DAY * DAY_S + LOCAL_HOUR * HOUR_S
_COLOURS: Final = "Residual: measured less predicted, white at 0 dB, full colour at 12 dB."


def _normal(plan: Plan) -> dict[str, Picture]:
    """Return pictures by row: an observer that stays, one that moves, and the uplink."""
    home, uplink = plan.places.home, plan.places.uplinks[0]
    seconds = SHOWN_FRAMES / 2 * FRAME_SECONDS + LEAD_S
    shown = [(home, home.staying[0]), (home, home.moving[-1]), (uplink, uplink.observers[0])]
    return {
        f"{cell.name}, {observer.context}": Picture(
            plan.unified(cell), (Scene(observer.id, _START_S, seconds, episode=plan.seed),)
        )
        for cell, observer in shown
    }


def _normal_section(plan: Plan, found: Found) -> Section:
    rows: dict[str, dict[str, Floats]] = {}
    for name, job in _normal(plan).items():
        measured, predicted = (found(job)[part][-SHOWN_FRAMES:] for part in ("measured", "predicted"))
        rows[name] = {"measured": measured, "predicted": predicted, "residual": measured - predicted}
    deviations = {name: {part: float(np.std(row[part])) for part in row} for name, row in rows.items()}
    told = "; ".join(f"{name} {one['predicted']:.1f} and {one['measured']:.1f} dB" for name, one in deviations.items())
    return Section(
        name="Figure 4",
        title="Measured and predicted frames without anomaly",
        stated="Waterfalls of measured and predicted spectrum.",
        tables=(),
        figures=(
            Figure(
                "figure-4",
                f"{SHOWN_FRAMES} frames in a row, predicted 25 at a time from the 100 before. {_COLOURS}",
                plots.waterfalls(rows, 1e3 * FRAME_SECONDS),
                deviations,
            ),
        ),
        seen="A prediction is the level to be expected: what is slow and what repeats, without the scatter of single "
        f"values, which nobody can foretell. Deviations of predicted and measured levels: {told}.",
    )


def _anomalous(plan: Plan) -> dict[str, tuple[Picture, Picture]]:
    """Return pictures without and with each anomaly."""
    home = plan.places.home
    model, observer = plan.unified(home), home.staying[-1]
    scene = Scene(observer.id, _START_S, LEAD_S + SHOWN_FRAMES / 2 * FRAME_SECONDS, episode=plan.seed)
    without = Picture(model, (scene,))
    anomalies = {case: case.anomaly_in(scene, home.width_hz, plan.seed) for case in SHOWN}
    return {
        case.label: (without, Picture(model, (replace(scene, anomaly=anomaly),))) for case, anomaly in anomalies.items()
    }


def _anomalous_section(plan: Plan, found: Found) -> Section:
    rows: dict[str, dict[str, Floats]] = {}
    for name, (without, with_anomaly) in _anomalous(plan).items():
        measured, predicted = (found(with_anomaly)[part][-SHOWN_FRAMES:] for part in ("measured", "predicted"))
        truth = found(without)["measured"][-SHOWN_FRAMES:]
        rows[name] = {
            "without anomaly": truth,
            "measured": measured,
            "predicted": predicted,
            "residual": measured - predicted,
        }
    middle = SHOWN_FRAMES // 2
    parts = {
        "before": slice(middle),
        "first": slice(middle, middle + TARGET_FRAMES),
        "last": slice(-TARGET_FRAMES, None),
    }
    rests = {name: {part: _rms(row["residual"][of]) for part, of in parts.items()} for name, row in rows.items()}
    told = "; ".join(
        f"{name} {one['before']:.1f}, {one['first']:.1f} and {one['last']:.1f} dB" for name, one in rests.items()
    )
    return Section(
        name="Figure 11",
        title="Anomalies, measured and predicted",
        stated="Waterfalls of anomalies, their prediction and the residual.",
        tables=(),
        figures=(
            Figure(
                "figure-11",
                f"{SHOWN_FRAMES} frames in a row; the anomaly begins in the middle. {_COLOURS}",
                plots.waterfalls(rows, 1e3 * FRAME_SECONDS),
                rests,
            ),
        ),
        seen="Root mean square of the residual before the anomaly, in its first 25 frames, and 75 frames later: "
        f"{told}. From its 26th frame on, an anomaly is in the input frames as well, and the prediction takes it up.",
    )


def _rms(residual: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(residual))))


FIGURE_4 = Experiment("figure-4", lambda plan: tuple(_normal(plan).values()), _normal_section)
"""Without anomaly."""
FIGURE_11 = Experiment(
    "figure-11", lambda plan: tuple(job for pair in _anomalous(plan).values() for job in pair), _anomalous_section
)
"""With anomalies."""
