"""Table 1: models of one place, hour or way of moving, elsewhere, and the unified model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training_worker.evaluation.paper.claims import Claim, less, within
from training_worker.evaluation.paper.jobs import Job
from training_worker.evaluation.paper.measuring import Errors
from training_worker.evaluation.paper.plan import DAY_HOURS, NIGHT_HOURS, Plan
from training_worker.evaluation.paper.scenes import Scene, hour_of
from training_worker.evaluation.paper.sections import NOT_STATED, Experiment, Found, Section, Table, change, decibels
from training_worker.evaluation.paper.training import Scratch

Values = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Row:
    """Errors at some place, hour or way of moving: of its own model, of others', and of the unified one."""

    where: str
    own: Values
    wrong: Values
    unified: Values


def _jobs(plan: Plan) -> tuple[Job, ...]:
    return tuple(_errors(plan, model) for model in (plan.unified(plan.places.home), *_models(plan).values()))


def _models(plan: Plan) -> dict[str, Scratch]:
    """Return the models of one context each."""
    home = plan.places.home
    contexts = {observer.context: [observer.id] for observer in home.observers}
    return {name: plan.special(name, observers) for name, observers in contexts.items()} | {
        "day": plan.special("day", home.heard_by, DAY_HOURS),
        "night": plan.special("night", home.heard_by, NIGHT_HOURS),
    }


def _errors(plan: Plan, model: Scratch) -> Errors:
    return Errors(model, plan.test(plan.places.home))


def _rows(plan: Plan, found: Found) -> Iterator[_Row]:
    home = plan.places.home
    models = _models(plan)
    staying = {observer.context: observer.id for observer in home.staying}
    moving = {observer.context: observer.id for observer in home.moving}

    def errors(model: str | None, observer: str | None = None, hours: tuple[int, ...] | None = None) -> Values:
        def keep(scene: Scene) -> bool:
            return observer in {None, scene.observer} and (hours is None or hour_of(scene) in hours)

        job = _errors(plan, plan.unified(home) if model is None else models[model])
        return job.where(found(job), keep)

    def others(names: Mapping[str, str], own: str, observer: str) -> Values:
        return np.concatenate([errors(name, observer) for name in names if name != own])

    for context, observer in staying.items():
        yield _Row(context, errors(context, observer), others(staying, context, observer), errors(None, observer))
    for name, wrong, hours in (("day", "night", DAY_HOURS), ("night", "day", NIGHT_HOURS)):
        yield _Row(name, errors(name, hours=hours), errors(wrong, hours=hours), errors(None, hours=hours))
    yield _Row(
        "static",
        np.concatenate([errors(context, observer) for context, observer in staying.items()]),
        np.concatenate([errors(context, observer) for context in moving for observer in staying.values()]),
        np.concatenate([errors(None, observer) for observer in staying.values()]),
    )
    for context, observer in moving.items():
        yield _Row(
            context, errors(context, observer), others(staying | moving, context, observer), errors(None, observer)
        )


def _section(plan: Plan, found: Found) -> Section:
    rows = list(_rows(plan, found))
    table = Table(
        f"Error in dB on another day, mean (deviation), {plan.places.home.band}",
        ("judged at", "own model", "model from elsewhere", "unified model", "paper"),
        tuple((row.where, decibels(row.own), decibels(row.wrong), decibels(row.unified), NOT_STATED) for row in rows),
    )
    return Section(
        name="Table 1",
        title="Models of one context, elsewhere, and a unified one",
        stated="A model does worse at places, hours and speeds that it was not trained for; one model that is trained "
        "with all of them does as well as the model of each.",
        tables=(table,),
        figures=(),
        seen=_seen(rows)
        + f"It has heard {plan.scale.day_s:.3g} s in all, each of the others {plan.scale.place_s:.3g} s.",
        claims=(
            Claim(
                "A model from elsewhere is worse than the unified one.",
                tuple(less(row.where, _mean(row.unified), _mean(row.wrong)) for row in rows),
            ),
            Claim(
                "The unified model is within 3 % of the model of each place.",
                tuple(within(row.where, _mean(row.unified), _mean(row.own)) for row in rows),
            ),
        ),
    )


def _seen(rows: list[_Row]) -> str:
    worst = max(rows, key=lambda row: _mean(row.wrong) / _mean(row.unified))
    least = min(rows, key=lambda row: _mean(row.wrong) / _mean(row.unified))
    hardest = max(rows, key=lambda row: _mean(row.unified) / _mean(row.own))
    behind = _mean(hardest.unified) > _mean(hardest.own)
    return (
        f"Against the unified model's, the error of a model from elsewhere is at its worst at {worst.where}, "
        f"{change(_mean(worst.wrong), _mean(worst.unified))}, and at its best at {least.where}, "
        f"{change(_mean(least.wrong), _mean(least.unified))}. "
        "Places differ in their fading, their level over the noise, and the neighbours that they hear. "
        + (
            f"The unified model is furthest behind the own model at {hardest.where}, "
            f"{change(_mean(hardest.unified), _mean(hardest.own))}. "
            if behind
            else "The unified model is behind the own model nowhere. "
        )
    )


def _mean(errors: Values) -> float:
    return float(errors.mean(dtype=np.float64))


TABLE_1 = Experiment("table-1", _jobs, _section)
"""Contexts of one cell."""
