"""Ways to a model of a cell, measured side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from training_worker.evaluation.paper import plots
from training_worker.evaluation.paper.measuring import Errors
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.scenes import Scene
from training_worker.evaluation.paper.sections import NOT_STATED, Decibels, Figure, Found, Table, Value, decibels
from training_worker.evaluation.paper.training import Model, Refit, Scratch, Skip

UNADAPTED: Final = "unadapted"
EXACT: Final = "dense layer, exact"
ADAM: Final = "dense layer, Adam"
SCRATCH: Final = "from scratch"


@dataclass(frozen=True)
class Way:
    """A way to a model of a cell: in words, and what it has heard of that cell."""

    name: str
    heard: str
    model: Model


def refit(
    plan: Plan,
    cell: Cell,
    scenes: tuple[Scene, ...],
    name: str = EXACT,
    *,
    free: int = 1,
    teacher: Scratch | Skip | None = None,
) -> Refit:
    """Return a teacher refitted to scenes of a cell; the home cell's model unless another is given."""
    start = plan.unified(plan.places.home) if teacher is None else teacher
    label = f"{start.name}, {name}, {cell.id}"
    return Refit(label, start, scenes, plan.refitting, free, "adam" if name == ADAM else "exact")


def errors_of(plan: Plan, cell: Cell, way: Way) -> Errors:
    """Return the job that measures a way on the test day of its cell."""
    return Errors(way.model, plan.test(cell))


def measured(plan: Plan, found: Found, cell: Cell, ways: Sequence[Way]) -> dict[str, Decibels]:
    """Return the errors of ways by their names."""
    jobs = {way.name: errors_of(plan, cell, way) for way in ways}
    return {name: decibels(job.where(found(job))) for name, job in jobs.items()}


def compared(
    ways: Sequence[Way], by_cell: Mapping[str, Mapping[str, Decibels]], stated: Mapping[str, Decibels]
) -> Table:
    """Return a table with a row for each way."""
    rows: list[tuple[Value, ...]] = [
        (way.name, way.heard, stated.get(way.name, NOT_STATED), *(of_cell[way.name] for of_cell in by_cell.values()))
        for way in ways
    ]
    head = ("model", "local data", "paper", *by_cell)
    return Table("Error in dB on another day, mean (deviation)", head, tuple(rows))


def bars(name: str, caption: str, by_cell: Mapping[str, Mapping[str, Decibels]]) -> Figure:
    """Return a figure with a bar for each way and cell."""
    groups = {
        cell: {way: (error.mean, error.deviation or 0.0) for way, error in of_cell.items()}
        for cell, of_cell in by_cell.items()
    }
    return Figure(name, f"{caption} Whiskers: deviation from window to window.", plots.bars(groups, "error in dB"))
