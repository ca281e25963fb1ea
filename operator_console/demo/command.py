"""bandwatch demo."""

import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bandwatch.errors import FailedPreconditionError

if TYPE_CHECKING:
    from operator_console.demo.plan import DemoPlan
    from operator_console.demo.stages import DemoResult, StartStage

WIDTH_WHEN_NOT_A_TERMINAL = 120


def demo(
    *,
    recordings: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Replay the SigMF recordings of this folder instead of simulated cells."
        ),
    ] = None,
    report: Annotated[Path, typer.Option(help="Where to write the report.")] = Path("report.html"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file too.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything (database, logs, frames) in this new folder.")
    ] = None,
) -> None:
    """See the whole platform at work, in a few minutes and a temporary folder.

    Starts it, lets observers listen, trains teachers, refits a student to each cell, mixes anomalies in, and measures.

    Example: bandwatch demo --recordings ~/lte --json figures.json
    """
    console = Console(width=None if sys.stdout.isatty() else WIDTH_WHEN_NOT_A_TERMINAL)
    signal.signal(signal.SIGTERM, _leave)
    with _folder(keep) as folder, _progress(console) as start_stage:
        result = _run(_plan(folder, recordings), folder, start_stage)
        _write(result, report, json_file)
    _print(console, result)
    console.print(f"\nThe report is in [bold]{report}[/]: open it in a browser.")


def _leave(number: int, _frame: object) -> None:
    """Unwind, so that nothing that the demo started stays behind."""
    sys.exit(128 + number)


def _plan(folder: Path, recordings: Path | None) -> "DemoPlan":
    from operator_console.demo.recorded import recorded_plan  # noqa: PLC0415 - other commands start faster
    from operator_console.demo.simulated import simulated_plan  # noqa: PLC0415 - the same

    return recorded_plan(recordings) if recordings else simulated_plan(folder)


def _run(plan: "DemoPlan", folder: Path, start_stage: "StartStage") -> "DemoResult":
    try:
        from operator_console.demo.stages import Demo  # noqa: PLC0415 - needs packages that other commands do without
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"`bandwatch demo` needs the package {error.name}: install it with pip install 'bandwatch[local]'"
        ) from error
    return Demo(plan, folder, start_stage).run()


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        if keep.exists():
            raise FailedPreconditionError(f"{keep} exists already; name a new folder to keep the demo in")
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="bandwatch-demo-"))
    try:
        yield folder
    except BaseException:
        typer.echo(f"What the demo left is in {folder}; the logs are in {folder / 'platform' / 'logs'}", err=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _progress(console: Console) -> Iterator["StartStage"]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[now]}"),
    )
    with Progress(*columns, console=console) as progress:

        def start(title: str) -> Any:
            task = progress.add_task(title, total=1.0, now="")
            if not console.is_terminal:
                console.print(f"{title} ...")
            return lambda now, share: progress.update(task, completed=share, now=now)

        yield start


def _write(result: "DemoResult", report: Path, json_file: Path | None) -> None:
    from operator_console.demo.report import write_report  # noqa: PLC0415 - other commands start faster

    write_report(result, report)
    if json_file:
        json_file.write_text(json.dumps(as_plain(result), indent=2) + "\n")


def as_plain(result: "DemoResult") -> dict[str, Any]:
    """Return the figures of a demo as JSON can hold them."""
    return {
        "title": result.plan.title,
        "remarks": result.plan.remarks,
        "stage_seconds": result.stage_seconds,
        "total_seconds": result.total_s,
        "cells": [
            {
                **asdict(figures),
                "gained_db": figures.gained_db,
                "false_alarm_rate": figures.false_alarms.rate,
                "detection_rate": {kind: share.rate for kind, share in figures.detection.items()},
            }
            for figures in result.figures
        ],
    }


def _print(console: Console, result: "DemoResult") -> None:
    from operator_console.demo.report import percent  # noqa: PLC0415 - other commands start faster

    errors = Table("Cell", "Teacher, unadapted", "Student", "Gained", "Order to active", "Threshold", "False alarms")
    for f in result.figures:
        errors.add_row(
            f.cell.partition("/")[2],
            f"{f.teacher_error_db:.3f} dB",
            f"{f.student_error_db:.3f} dB",
            f"{f.gained_db:+.3f} dB",
            f"{f.order_to_active_s:.1f} s",
            f"{f.threshold:.2f} ({f.score})",
            percent(f.false_alarms),
        )
    console.print(errors)
    detection = Table("Detected", *(f.cell.partition("/")[2] for f in result.figures))
    for kind in result.plan.kinds:
        detection.add_row(kind, *(f"{f.detection[kind].rate:.0%}" for f in result.figures))
    console.print(detection)
    for f in result.figures:
        if f.remark:
            console.print(f"{f.cell.partition('/')[2]}: {f.remark}")
