"""Table 2 and figure 5: bands, the uplink, weeks later, and the autoencoder."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.claims import Claim, less, near
from training_worker.evaluation.paper.jobs import Job
from training_worker.evaluation.paper.measuring import Errors, Floats
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import WEEKS_LATER, Plan
from training_worker.evaluation.paper.sections import (
    NOT_STATED,
    Decibels,
    Experiment,
    Figure,
    Found,
    Section,
    Table,
    Value,
    change,
    decibels,
)

LSTM: Final = "LSTM"
LATER: Final = f"LSTM {WEEKS_LATER} weeks later"
AUTOENCODER: Final = "autoencoder"
STATED: Final[Mapping[str, Decibels]] = {
    "880 MHz": Decibels(2.58, 0.19),
    "750 MHz": Decibels(2.70),
    "730 MHz": Decibels(2.54),
    "830 MHz uplink": Decibels(3.14, 0.78),
}
"""Errors of unified models that the paper states."""
_QUANTILES: Final = (5, 25, 50, 75, 95)
_FAR_OFF: Final = 1.25


def _cells(plan: Plan) -> tuple[Cell, ...]:
    places = plan.places
    return (places.home, *places.abroad, *places.uplinks)


def _errors(plan: Plan, cell: Cell) -> dict[str, Errors]:
    return {
        LSTM: Errors(plan.unified(cell), plan.test(cell)),
        LATER: Errors(plan.unified(cell), plan.test(cell, days_later=7 * WEEKS_LATER)),
        AUTOENCODER: Errors(plan.autoencoder(cell), plan.test(cell)),
    }


def _table_jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(job for cell in _cells(plan) for job in _errors(plan, cell).values())


def _table_section(plan: Plan, found: Found) -> Section:
    cells = _cells(plan)
    errors = {
        cell.name: {name: decibels(job.where(found(job))) for name, job in _errors(plan, cell).items()}
        for cell in cells
    }
    rows: list[tuple[Value, ...]] = [
        (
            name,
            STATED.get(name, NOT_STATED),
            *one.values(),
            f"{100 * (one[AUTOENCODER].mean / one[LSTM].mean - 1):+.1f} %",
            "+3 to +8 %",
        )
        for name, one in errors.items()
    ]
    head = ("band", "paper", LSTM, LATER, AUTOENCODER, "autoencoder against LSTM", "the same in the paper")
    return Section(
        name="Table 2",
        title="Unified models of bands, old models, and the autoencoder",
        stated="Errors of unified models as below; the uplink is harder; the autoencoder is 3 to 8 % behind the LSTM.",
        tables=(Table("Error in dB on another day, mean (deviation)", head, tuple(rows)),),
        figures=(),
        seen=" ".join((*_of_uplinks(cells, errors), _of_weeks(cells, errors))),
        claims=(
            Claim(
                "The uplink is worse than the downlink.",
                tuple(
                    less(f"{down.name} against {up.name}", errors[down.name][LSTM].mean, errors[up.name][LSTM].mean)
                    for up in cells
                    for down in cells
                    if up.uplink and not down.uplink
                ),
            ),
            Claim(
                "The autoencoder is within 10 % of the LSTM.",
                tuple(near(name, one[AUTOENCODER].mean, one[LSTM].mean, 0.1) for name, one in errors.items()),
            ),
        ),
    )


def _of_uplinks(cells: tuple[Cell, ...], errors: Mapping[str, Mapping[str, Decibels]]) -> list[str]:
    """Say why the uplink is harder, where it is, and what is off the paper's."""
    up = next(cell.name for cell in cells if cell.uplink)
    best = min((cell.name for cell in cells if not cell.uplink), key=lambda name: errors[name][LSTM].mean)
    told = []
    if errors[up][LSTM].mean > errors[best][LSTM].mean:
        told.append(
            f"On {up} the error is {change(errors[up][LSTM].mean, errors[best][LSTM].mean)} than on {best}: a downlink "
            "always sends its reference signals, while an uplink is silent where nobody sends."
        )
    far = [
        f"{name} ({one[LSTM].mean:.2f} against {STATED[name].mean:.2f} dB)"
        for name, one in errors.items()
        if name in STATED and one[LSTM].mean > _FAR_OFF * STATED[name].mean
    ]
    if far:
        told.append(f"The simulation is harder to foretell than what the paper measured on {', '.join(far)}.")
    return told


def _of_weeks(cells: tuple[Cell, ...], errors: Mapping[str, Mapping[str, Decibels]]) -> str:
    """Say what time does to a model."""
    aged = max(cells, key=lambda cell: errors[cell.name][LATER].mean / errors[cell.name][LSTM].mean)
    one = errors[aged.name]
    grown = (1 + aged.growth_per_week) ** WEEKS_LATER - 1
    return (
        f"After {WEEKS_LATER} weeks an old model has lost most on {aged.name}, where the load has grown by "
        f"{100 * grown:.0f} %: the error is {change(one[LATER].mean, one[LSTM].mean)} than on the day of the test."
    )


def _spread_jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(job for cell in _cells(plan) for name, job in _errors(plan, cell).items() if name != LATER)


def _spread_section(plan: Plan, found: Found) -> Section:
    groups: dict[str, dict[str, Floats]] = {
        cell.name: {name: job.where(found(job)) for name, job in _errors(plan, cell).items() if name != LATER}
        for cell in _cells(plan)
    }
    rows: list[tuple[Value, ...]] = [
        (f"{band}, {name}", *(Decibels(float(value)) for value in np.percentile(errors, _QUANTILES)))
        for band, members in groups.items()
        for name, errors in members.items()
    ]
    lower = [band for band, one in groups.items() if np.median(one[LSTM]) < np.median(one[AUTOENCODER])]
    return Section(
        name="Figure 5",
        title="How errors are spread, LSTM and autoencoder",
        stated="Quantiles of the error on downlink and uplink; values are not stated.",
        tables=(
            Table("Quantiles of the error in dB", ("band and model", *(f"{q} %" for q in _QUANTILES)), tuple(rows)),
        ),
        figures=(
            Figure(
                "figure-5",
                "Boxes are quartiles with the median; whiskers go from 5 to 95 % of all windows.",
                plots.boxes(groups, "error in dB"),
            ),
        ),
        seen=f"The LSTM has the lower median on {len(lower)} of {len(groups)} bands"
        + (f" ({', '.join(lower)}). " if lower else ". ")
        + _of_tail(plan, found),
    )


def _of_tail(plan: Plan, found: Found) -> str:
    """Say who hears the windows with the largest errors on the home band."""
    home = plan.places.home
    job = _errors(plan, home)[LSTM]
    errors = found(job)["error_db"]
    high = np.bincount(found(job)["scene"][errors > np.quantile(errors, 0.95)], minlength=len(job.scenes))
    by_observer = {
        one.context: sum(int(high[at]) for at, scene in enumerate(job.scenes) if scene.observer == one.id)
        for one in home.observers
    }
    most = max(by_observer, key=lambda context: by_observer[context])
    return (
        f"Of the largest 5 % of the LSTM's errors on {home.name}, {100 * by_observer[most] / high.sum():.0f} % are "
        f'heard at the observer "{most}".'
    )


TABLE_2 = Experiment("table-2", _table_jobs, _table_section)
"""Bands, weeks later, autoencoder."""
FIGURE_5 = Experiment("figure-5", _spread_jobs, _spread_section)
"""Quantiles of errors."""
