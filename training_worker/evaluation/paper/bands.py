"""Table 2, figures 4 and 5: bands, the uplink, weeks later, and the autoencoder."""

import numpy as np

from bandwatch.spectrogram.bands import FRAME_SECONDS
from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.claims import Claim, less, near
from training_worker.evaluation.paper.jobs import Job
from training_worker.evaluation.paper.measuring import Errors, Floats, Picture, errors_on
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import LOCAL_HOUR, TEST_DAY, WEEKS_LATER, Plan
from training_worker.evaluation.paper.scenes import DAY_S, HOUR_S, Scene
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

STATED: dict[str, Decibels] = {
    "880 MHz": Decibels(2.58, 0.19),
    "750 MHz": Decibels(2.70),
    "730 MHz": Decibels(2.54),
    "830 MHz": Decibels(3.14, 0.78),
}
"""Errors of unified models that the paper states."""
_STATED_AUTOENCODER = "3 to 8 % higher than the LSTM"
_SHOWN_S = 0.0832  # 200 target frames


def _cells(plan: Plan) -> tuple[Cell, ...]:
    places = plan.places
    return (places.home, *places.abroad, *places.uplinks)


def _lstm(plan: Plan, cell: Cell) -> Errors:
    return errors_on(plan.unified(cell), plan.test(cell))


def _autoencoder(plan: Plan, cell: Cell) -> Errors:
    return errors_on(plan.autoencoder(cell), plan.test(cell))


def _later(plan: Plan, cell: Cell) -> Errors:
    return errors_on(plan.unified(cell), plan.test(cell, days_later=7 * WEEKS_LATER))


def _table_jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(kind(plan, cell) for cell in _cells(plan) for kind in (_lstm, _autoencoder, _later))


def _name(cell: Cell) -> str:
    return f"{cell.band} uplink" if cell.uplink else cell.band


def _table_section(plan: Plan, found: Found) -> Section:
    cells = _cells(plan)
    lstm, autoencoder, later = (
        {cell: decibels((job := kind(plan, cell)).where(found(job))) for cell in cells}
        for kind in (_lstm, _autoencoder, _later)
    )
    rows: list[tuple[Value, ...]] = [
        (
            _name(cell),
            STATED.get(cell.band, NOT_STATED),
            lstm[cell],
            later[cell],
            autoencoder[cell],
            f"{100 * (autoencoder[cell].mean / lstm[cell].mean - 1):+.1f} %",
            _STATED_AUTOENCODER,
        )
        for cell in cells
    ]
    head = (
        "band",
        "paper",
        "LSTM",
        f"LSTM {WEEKS_LATER} weeks later",
        "autoencoder",
        "against the LSTM",
        "paper's autoencoder",
    )
    aged = max(cells, key=lambda cell: later[cell].mean / lstm[cell].mean)
    uplinks, downlinks = [cell for cell in cells if cell.uplink], [cell for cell in cells if not cell.uplink]
    best = min(downlinks, key=lambda cell: lstm[cell].mean)
    return Section(
        name="Table 2",
        title="Unified models of bands, old models, and the autoencoder",
        stated="Errors of unified models as below; the uplink is harder; the autoencoder is 3 to 8 % behind the LSTM.",
        tables=(Table("Error in dB on another day, mean (deviation)", head, tuple(rows)),),
        figures=(),
        seen=f"On the uplink the error is {change(lstm[uplinks[0]].mean, lstm[best].mean)} than on the best downlink, "
        f"{best.band}: a downlink always sends its reference signals, while an uplink is silent where nobody sends. "
        f"{WEEKS_LATER} weeks later the load has grown, and the old model's error is at most "
        f"{change(later[aged].mean, lstm[aged].mean)} than on the day of the test ({_name(aged)}).",
        claims=(
            Claim(
                "The uplink is worse than the downlink.",
                tuple(
                    less(f"{_name(down)} against {_name(up)}", lstm[down].mean, lstm[up].mean)
                    for up in uplinks
                    for down in downlinks
                ),
            ),
            Claim(
                "The autoencoder is within 10 % of the LSTM.",
                tuple(near(_name(cell), autoencoder[cell].mean, lstm[cell].mean, 0.1) for cell in cells),
            ),
        ),
    )


def _pictures(plan: Plan) -> dict[str, Picture]:
    """Return pictures by row: one place, one moving observer, and the uplink."""
    places = plan.places
    staying = next(one for one in places.home.observers if not one.moves)
    moving = next(one for one in reversed(places.home.observers) if one.moves)
    start_s = TEST_DAY * DAY_S + LOCAL_HOUR * HOUR_S
    shown = [(places.home, staying), (places.home, moving), (places.uplinks[0], places.uplinks[0].observers[0])]
    return {
        f"{_name(cell)}, {observer.context}": Picture(
            plan.unified(cell), (Scene(observer.id, start_s, _SHOWN_S, episode=plan.seed),)
        )
        for cell, observer in shown
    }


def _picture_section(plan: Plan, found: Found) -> Section:
    made = {row: found(job) for row, job in _pictures(plan).items()}
    rows: dict[str, dict[str, Floats]] = {
        row: {
            "measured": arrays["measured"],
            "predicted": arrays["predicted"],
            "residual": arrays["measured"] - arrays["predicted"],
        }
        for row, arrays in made.items()
    }
    spreads = {row: float(np.std(of_row["residual"])) for row, of_row in rows.items()}
    steps = {row: (np.std(of_row["predicted"]), np.std(of_row["measured"])) for row, of_row in rows.items()}
    return Section(
        name="Figure 4",
        title="Measured and predicted frames without anomaly",
        stated="Waterfalls of measured and predicted spectrum.",
        tables=(),
        figures=(
            Figure(
                "figure-4",
                f"{len(next(iter(rows.values()))['measured'])} frames in a row, predicted 25 at a time from the 100 "
                "before. Residual: measured less predicted, white at 0 dB, full colour at 12 dB.",
                plots.waterfalls(rows, 1e3 * FRAME_SECONDS),
                spreads,
            ),
        ),
        seen="The prediction is the expected level: it has the slow shape and what repeats, but not the scatter of "
        "single values, which nobody can foretell. So it varies less than the measurement ("
        + "; ".join(f"{row}: {low:.1f} against {high:.1f} dB" for row, (low, high) in steps.items())
        + ").",
    )


def _box_jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(kind(plan, cell) for cell in _cells(plan) for kind in (_lstm, _autoencoder))


def _box_section(plan: Plan, found: Found) -> Section:
    groups: dict[str, dict[str, Floats]] = {
        _name(cell): {
            name: (job := kind(plan, cell)).where(found(job))
            for name, kind in (("LSTM", _lstm), ("autoencoder", _autoencoder))
        }
        for cell in _cells(plan)
    }
    quantiles = (5, 25, 50, 75, 95)
    rows: list[tuple[Value, ...]] = [
        (f"{band}, {name}", *(Decibels(float(value)) for value in np.percentile(errors, quantiles)))
        for band, members in groups.items()
        for name, errors in members.items()
    ]
    medians = {band: {name: float(np.median(one)) for name, one in members.items()} for band, members in groups.items()}
    lower = [band for band, of_band in medians.items() if of_band["LSTM"] < of_band["autoencoder"]]
    return Section(
        name="Figure 5",
        title="How errors are spread, LSTM and autoencoder",
        stated="Quantiles of the error on downlink and uplink; values are not stated.",
        tables=(
            Table("Quantiles of the error in dB", ("band and model", *(f"{q} %" for q in quantiles)), tuple(rows)),
        ),
        figures=(
            Figure(
                "figure-5",
                "Boxes are quartiles with the median; whiskers go from 5 to 95 % of all windows.",
                plots.boxes(groups, "error in dB"),
            ),
        ),
        seen=f"The LSTM has the lower median on {len(lower)} of {len(groups)} bands"
        + (f" ({', '.join(lower)})" if lower else "")
        + ". The tail upward are windows in which the traffic changes after the input frames.",
    )


TABLE_2 = Experiment("table-2", _table_jobs, _table_section)
"""Bands, weeks later, autoencoder."""
FIGURE_4 = Experiment("figure-4", lambda plan: tuple(_pictures(plan).values()), _picture_section)
"""Waterfalls without anomaly."""
FIGURE_5 = Experiment("figure-5", _box_jobs, _box_section)
"""Quantiles of errors."""
