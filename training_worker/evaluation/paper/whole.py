"""From a scale and a network to the written results."""

import json
from collections.abc import Sequence
from pathlib import Path

from bandwatch.errors import InvalidArgumentError
from training_worker.evaluation.paper.experiments import EXPERIMENTS
from training_worker.evaluation.paper.jobs import Arrays, Bench, Job, with_needs
from training_worker.evaluation.paper.markdown import FIGURES_FOLDER, markdown_of
from training_worker.evaluation.paper.page import page_of
from training_worker.evaluation.paper.places import places_of
from training_worker.evaluation.paper.plan import TEST_DAY, TRAINING_DAY, Plan
from training_worker.evaluation.paper.report import Report
from training_worker.evaluation.paper.running import Say, run_jobs
from training_worker.evaluation.paper.scale import Scale
from training_worker.evaluation.paper.sections import Experiment


def evaluate_paper(
    scale: Scale, out: Path, only: Sequence[str], processes: int, seed: int, network_file: Path | None, say: Say
) -> float:
    """Write results.md, results.json and results.html, and return how many seconds of processor time it took.

    Args:
        scale: How much is computed.
        out: Folder for results and for what a later run goes on from.
        only: Names of experiments; all where there are none.
        processes: How many compute.
        seed: Where chance begins.
        network_file: The network; the one that comes with Bandwatch where none is given.
        say: Hears where the work is.

    Raises:
        InvalidArgumentError: There is no such experiment, or the network lacks what they need.
        NotFoundError: There is no such file.
        FailedPreconditionError: A process ended before its work was done.
    """
    chosen = _chosen(only)
    folder = out / "cache"
    bench = Bench(folder, network_file)
    plan = Plan(scale, places_of(bench.network), seed)
    wanted = with_needs(job for experiment in chosen for job in experiment.jobs(plan))
    spent_s = run_jobs(wanted, folder, network_file, processes, say)
    say("writing results")
    found = _Found(bench)
    sections = tuple(experiment.section(plan, found) for experiment in chosen)
    _write(Report(scale.name, seed, _remarks(plan), sections), out)
    return spent_s


class _Found:
    """What jobs made, read once."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._read: dict[Job, Arrays] = {}

    def __call__(self, job: Job) -> Arrays:
        if job not in self._read:
            self._read[job] = self._bench.arrays(job)
        return self._read[job]


def _chosen(only: Sequence[str]) -> list[Experiment]:
    names = [experiment.name for experiment in EXPERIMENTS]
    for name in only:
        if name not in names:
            raise InvalidArgumentError(f"there is no table or figure {name!r}: choose from {', '.join(names)}")
    return [experiment for experiment in EXPERIMENTS if not only or experiment.name in only]


def _remarks(plan: Plan) -> tuple[str, ...]:
    places = plan.places
    return (
        (
            f"Most is learnt from the cell {places.home.id} on {places.home.band}; other cells of the band are "
            f"{', '.join(cell.id for cell in places.neighbours)}, other bands those of "
            f"{', '.join(cell.id for cell in (*places.abroad, *places.uplinks))}. Each is heard at "
            f"{len(places.home.observers)} places: {', '.join(one.context for one in places.home.observers)}."
        ),
        *plan.scale.reductions,
        f"Day {TRAINING_DAY} is trained on, day {TEST_DAY} is judged.",
        (
            "A claim holds where all of its comparisons bear it out, holds partly where some do, and does not hold "
            "where none does. Within 3 % means: an error at most 3 % higher."
        ),
    )


def _write(report: Report, out: Path) -> None:
    figures = out / FIGURES_FOLDER
    figures.mkdir(parents=True, exist_ok=True)
    for section in report.sections:
        for figure in section.figures:
            (figures / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    (out / "results.md").write_text(markdown_of(report), encoding="utf-8")
    (out / "results.json").write_text(json.dumps(report.plain(), indent=1) + "\n", encoding="utf-8")
    (out / "results.html").write_text(page_of(report), encoding="utf-8")
