"""Figure 9: the error against the amount of local data."""

from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.claims import Claim, less
from training_worker.evaluation.paper.jobs import Job
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.scenes import Scene, seconds_of
from training_worker.evaluation.paper.sections import Decibels, Experiment, Figure, Found, Section, Table, Value, change
from training_worker.evaluation.paper.ways import ADAM, EXACT, SCRATCH, UNADAPTED, Way, errors_of, measured, refit

A_DAY = "a day"
"""The largest amount."""


def amounts_of(plan: Plan, cell: Cell) -> dict[str, tuple[Scene, ...]]:
    """Return growing amounts of local data of a cell by their names."""
    stretches, stretch_s = plan.scale.interval_stretches, plan.scale.interval_stretch_s
    return {
        "half a second": plan.local(cell, 0.5, 1, 0.5),
        "5 seconds": plan.local(cell, 5.0, 3, min(stretch_s, 5 / 3)),
        "a minute": plan.local(cell, 60.0, max(stretches // 2, 3), stretch_s),
        "5 minutes": plan.minutes(cell),
        "an hour": plan.hour(cell),
        A_DAY: plan.day_of(cell),
    }


def _unadapted(plan: Plan) -> Way:
    return Way(UNADAPTED, "nothing", plan.unified(plan.places.home))


def _ways(plan: Plan, cell: Cell, name: str, scenes: tuple[Scene, ...]) -> tuple[Way, ...]:
    return (
        Way(EXACT, name, refit(plan, cell, scenes)),
        Way(ADAM, name, refit(plan, cell, scenes, ADAM)),
        Way(SCRATCH, name, plan.unified(cell) if name == A_DAY else plan.small(cell, scenes)),
    )


def _jobs(plan: Plan) -> tuple[Job, ...]:
    cell = plan.places.neighbours[0]
    ways = [way for name, scenes in amounts_of(plan, cell).items() for way in _ways(plan, cell, name, scenes)]
    return tuple(errors_of(plan, cell, way) for way in (_unadapted(plan), *ways))


def _section(plan: Plan, found: Found) -> Section:
    cell = plan.places.neighbours[0]
    amounts = amounts_of(plan, cell)
    by_amount = {n: measured(plan, found, cell, _ways(plan, cell, n, scenes)) for n, scenes in amounts.items()}
    unadapted = measured(plan, found, cell, (_unadapted(plan),))[UNADAPTED]
    heard = {name: seconds_of(scenes) for name, scenes in amounts.items()}
    rows: list[tuple[Value, ...]] = [
        (name, f"{heard[name]:.3g} s", one[EXACT], one[ADAM], one[SCRATCH]) for name, one in by_amount.items()
    ]
    lines = [
        plots.Line(way, list(heard.values()), [one[way].mean for one in by_amount.values()])
        for way in (EXACT, ADAM, SCRATCH)
    ]
    lines.append(plots.Line(UNADAPTED, list(heard.values()), [unadapted.mean] * len(heard), dashed=True))
    return Section(
        name="Figure 9",
        title="Error against the amount of local data",
        stated="A refit needs far less local data than training from scratch; values by amount are not stated.",
        tables=(
            Table(
                f"Error in dB in {cell.id} on another day, mean (deviation); unadapted {unadapted}",
                ("local data", "seconds heard", EXACT, ADAM, SCRATCH),
                tuple(rows),
            ),
        ),
        figures=(
            Figure("figure-9", f"Models of {cell.id}.", plots.lines(lines, "seconds heard", "error in dB", log_x=True)),
        ),
        seen=_seen(by_amount, unadapted),
        claims=(
            Claim(
                "With less than a day of local data, a refit is better than training from scratch.",
                tuple(
                    less(name, one[EXACT].mean, one[SCRATCH].mean) for name, one in by_amount.items() if name != A_DAY
                ),
            ),
        ),
    )


def _seen(by_amount: dict[str, dict[str, Decibels]], unadapted: Decibels) -> str:
    least, whole = next(iter(by_amount)), by_amount[A_DAY]
    helped = [name for name, one in by_amount.items() if one[EXACT].mean < unadapted.mean]
    exact_ahead = sum(one[EXACT].mean <= one[ADAM].mean for one in by_amount.values())
    return (
        (f"The exact refit gains on the unadapted model from {helped[0]} on" if helped else "No refit gains")
        + f"; from scratch, {least} leaves an error {change(by_amount[least][SCRATCH].mean, unadapted.mean)} than that "
        f"of the unadapted model, and a day one {change(whole[SCRATCH].mean, whole[EXACT].mean)} than that of the "
        f"refit. The exact solution is no worse than Adam on the same layer in {exact_ahead} of {len(by_amount)} cases."
    )


FIGURE_9 = Experiment("figure-9", _jobs, _section)
"""Amounts of local data."""
