"""Figure 8: what a model is worth in another cell, and what a refit on five minutes of that cell makes of it."""

from collections.abc import Mapping
from typing import Final

from training_worker.evaluation.paper.claims import Claim, less, within
from training_worker.evaluation.paper.jobs import Job
from training_worker.evaluation.paper.places import Cell
from training_worker.evaluation.paper.plan import Plan
from training_worker.evaluation.paper.scenes import seconds_of
from training_worker.evaluation.paper.sections import Decibels, Experiment, Found, Section
from training_worker.evaluation.paper.training import Skip
from training_worker.evaluation.paper.ways import (
    EXACT,
    SCRATCH,
    UNADAPTED,
    Way,
    bars,
    compared,
    errors_of,
    measured,
    refit,
)

SEVERAL: Final = "dense layer, exact, teacher of several cells"
HYBRID: Final = "dense layer, exact, hybrid teacher"
STATED: Final[Mapping[str, Decibels]] = {
    UNADAPTED: Decibels(3.36, 0.56),
    EXACT: Decibels(2.65),
    SCRATCH: Decibels(2.59),
}
"""Errors across cells that the paper states."""


def _ways(plan: Plan, cell: Cell) -> tuple[Way, ...]:
    places = plan.places
    others = [other for other in (places.home, *places.neighbours) if other != cell]
    several: tuple[Way, ...] = ()
    if len(others) > 1:
        several = (Way(SEVERAL, "5 minutes", refit(plan, cell, plan.minutes(cell), teacher=plan.common(others))),)
    return (
        Way(UNADAPTED, "nothing", plan.unified(places.home)),
        Way(EXACT, "5 minutes", refit(plan, cell, plan.minutes(cell))),
        *several,
        Way(HYBRID, "5 minutes", refit(plan, cell, plan.minutes(cell), teacher=Skip(plan.unified(places.home)))),
        Way(SCRATCH, "a day", plan.unified(cell)),
    )


def _jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(errors_of(plan, cell, way) for cell in plan.places.neighbours for way in _ways(plan, cell))


def _section(plan: Plan, found: Found) -> Section:
    places = plan.places
    by_cell = {cell.id: measured(plan, found, cell, _ways(plan, cell)) for cell in places.neighbours}
    return Section(
        name="Figure 8",
        title="A model in another cell",
        stated="Another cell's model has an error of 3.36 dB (0.56); with the dense layer refitted on 5 minutes 2.65 "
        "dB; a model trained from scratch on a day 2.59 dB. That is 288 times less data.",
        tables=(compared(_ways(plan, places.neighbours[0]), by_cell, STATED),),
        figures=(bars("figure-8", f"Models in other cells on {places.home.band}.", by_cell),),
        seen=_seen(plan, by_cell),
        claims=(
            Claim(
                "Another cell's model is worse unadapted than after a refit of its dense layer.",
                tuple(less(cell, one[EXACT].mean, one[UNADAPTED].mean) for cell, one in by_cell.items()),
            ),
            Claim(
                "A refit on 5 minutes is within 3 % of training from scratch on a day.",
                tuple(within(cell, one[EXACT].mean, one[SCRATCH].mean) for cell, one in by_cell.items()),
            ),
            *_beyond(by_cell),
        ),
    )


def _beyond(by_cell: Mapping[str, Mapping[str, Decibels]]) -> tuple[Claim, ...]:
    """Return what we claim of other teachers."""
    sentence = (
        "Beyond the paper: from a hybrid teacher of one other cell, a refit on 5 minutes is within 3 % of an LSTM "
    )
    hybrid = Claim(
        f"{sentence}trained from scratch on a day.",
        tuple(within(cell, one[HYBRID].mean, one[SCRATCH].mean) for cell, one in by_cell.items()),
    )
    return (*_of_several(by_cell), hybrid)


def _of_several(by_cell: Mapping[str, Mapping[str, Decibels]]) -> tuple[Claim, ...]:
    """Return what we claim of a teacher of several cells, where there is one."""
    checks = [within(cell, one[SEVERAL].mean, one[SCRATCH].mean) for cell, one in by_cell.items() if SEVERAL in one]
    sentence = (
        "Beyond the paper: from a teacher of several cells, a refit on 5 minutes is within 3 % of training from "
        "scratch on a day."
    )
    return (Claim(sentence, tuple(checks)),) if checks else ()


def _seen(plan: Plan, by_cell: Mapping[str, Mapping[str, Decibels]]) -> str:
    cell = plan.places.neighbours[0]
    data = seconds_of(plan.day_of(cell)) / seconds_of(plan.minutes(cell))
    told = (
        f"Unadapted, the model of {plan.places.home.id} is {_off(by_cell, UNADAPTED)} off what a model from scratch "
        f"reaches with {data:.1f} times the data of the refit; with its dense layer refitted it is "
        f"{_off(by_cell, EXACT)} off"
    )
    if all(SEVERAL in one for one in by_cell.values()):
        told += f", and where the teacher has heard the other cells of the band too, {_off(by_cell, SEVERAL)}"
    return (
        f"{told}: the refitted layer can only use what the teacher's LSTM layers have learnt to see. With a hybrid as "
        f"teacher, whose dense layer also sees the powers of the input frames themselves, it is "
        f"{_off(by_cell, HYBRID)} off."
    )


def _off(by_cell: Mapping[str, Mapping[str, Decibels]], way: str) -> str:
    percent = [100 * (one[way].mean / one[SCRATCH].mean - 1) for one in by_cell.values()]
    return f"{min(percent):+.1f} to {max(percent):+.1f} %"


FIGURE_8 = Experiment("figure-8", _jobs, _section)
"""Across cells."""
