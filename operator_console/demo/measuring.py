"""The figures of one cell, from its observers' own scores and from both models over the same frames."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bandwatch import names
from bandwatch.errors import UnavailableError
from bandwatch.wire.v1.model_pb2 import TrainingRun
from bandwatch.wire.v1.spectrum_pb2 import PURPOSE_TRAINING
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient
from operator_console.demo.figures import (
    CellFigures,
    Inspected,
    anomalous_windows,
    clean_frames,
    normal_windows,
    share,
)
from operator_console.demo.plan import CellPlan, DemoPlan

STATED_FALSE_ALARM_RATE = 0.01


@dataclass(frozen=True)
class StudentStory:
    """How one cell came by its student, and the release that it runs since."""

    run: TrainingRun
    serial: int
    order_to_active_s: float
    remark: str
    """Why the student was not released by itself; empty where it was."""


def measure(
    plan: DemoPlan,
    cell: CellPlan,
    story: StudentStory,
    client: AdminClient,
    stack: LocalStack,
    folder: Path,
    found: Mapping[str, Inspected],
) -> CellFigures:
    """Return the figures of one cell from what its observers wrote.

    Raises:
        UnavailableError: Another model scored some windows, or the models could not be evaluated.
    """
    name = names.cells.name(cell.id)
    streams = [found[observer.id] for observer in plan.observers_of(cell)]
    strays = sum(int((inspected.serials != story.serial).sum()) for inspected in streams)
    if strays:
        raise UnavailableError(f"{strays} windows of {name} were scored by another model than the one it is to run")
    teacher, student = story.run.student.teachers[0], story.run.model
    errors = _evaluate(plan, cell, stack, folder, [teacher, student], streams)
    return CellFigures(
        cell=name,
        band=names.bands.name(cell.band_id),
        teacher=teacher,
        student=student,
        serial=story.serial,
        observers=len(streams),
        training_s=client.segment_totals(cell=name, purpose=PURPOSE_TRAINING).span.total_seconds(),
        teacher_error_db=errors[teacher]["mean_db"],
        student_error_db=errors[student]["mean_db"],
        evaluated_windows=int(errors[student]["windows"]),
        order_to_active_s=story.order_to_active_s,
        score=streams[0].score,
        threshold=streams[0].threshold,
        stated_false_alarm_rate=STATED_FALSE_ALARM_RATE,
        false_alarms=share([(i, normal_windows(i, plan.timetable)) for i in streams]),
        detection={
            kind: share([(i, anomalous_windows(i, plan.bursts_of(kind))) for i in streams]) for kind in plan.kinds
        },
        anomalies_reported=client.count_anomalies(cell=name),
        remark=story.remark,
    )


def _evaluate(
    plan: DemoPlan, cell: CellPlan, stack: LocalStack, folder: Path, models: list[str], streams: list[Inspected]
) -> dict[str, dict[str, float]]:
    """Return the errors of models over the same clean frames of every observer of a cell."""
    frames = folder / "evaluated"
    frames.mkdir(exist_ok=True)
    files = []
    for number, inspected in enumerate(streams):
        path = frames / f"{cell.id}-{number}.u8"
        clean_frames(inspected, plan.clean_s).tofile(path)
        files.append(str(path))
    result = subprocess.run(  # noqa: S603 - our own worker under our own interpreter
        [
            *(sys.executable, "-P", "-m", "training_worker", "evaluate", "frames", "--stride-frames", "10"),
            *(argument for model in models for argument in ("--model", model)),
            *files,
        ],
        env={
            **os.environ,
            "BANDWATCH_WORKER_IDENTITY_DIR": str(stack.folder.worker_folder(1) / "identity"),
            "BANDWATCH_WORKER_DATA_DIR": str(folder / "evaluation"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise UnavailableError(f"the models of {cell.id} could not be evaluated: {result.stderr.strip()}")
    errors: dict[str, dict[str, float]] = json.loads(result.stdout)
    return errors
