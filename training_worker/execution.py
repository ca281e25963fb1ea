"""One attempt at one run, in a process of its own: data in, recipe, model out."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from training_worker.coordinator_client import ClaimedRun, StudentOrder, TrainingClient, open_client
from training_worker.learning.networks import LSTM
from training_worker.publishing import published
from training_worker.recipes.progress import Progress
from training_worker.recipes.student import StudentOptions, build_student
from training_worker.recipes.teacher import TeacherOptions, build_teacher
from training_worker.recipes.trained import TeacherModel, TrainedModel
from training_worker.settings import WorkerSettings
from training_worker.workspaces import workspace_of


def execute(settings: WorkerSettings, run: ClaimedRun) -> str:
    """Train what a claimed run orders, publish it, and return the name of the model."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    workspace = workspace_of(settings.data_dir, run.lease.run)
    with open_client(settings.identity_folder, settings.data_dir, settings.coordinator) as client:
        trained = _train(client, run, workspace, _reporter(client, run))
        return client.finish(run.lease, published(client, trained), trained.parent)


def _train(
    client: TrainingClient, run: ClaimedRun, workspace: Path, report: Callable[[Progress], None]
) -> TrainedModel:
    report(Progress("fetching segments", 0.0, None))
    segments = list(client.segments(run.lease))
    order = run.order
    if isinstance(order, StudentOrder):
        report(Progress("fetching teachers", 0.0, None))
        teachers = {name: fetch_model(client, name) for name in order.teachers}
        student = StudentOptions(
            frozen_layers=order.frozen_layers,
            max_epochs=order.max_epochs,
            stride_frames=order.stride_frames,
            seed=run.seed,
            families=order.families,
        )
        return build_student(student, segments, teachers, workspace, report)
    teacher = TeacherOptions(
        family=order.family or LSTM,
        layers=order.layers,
        max_epochs=order.max_epochs,
        stride_frames=order.stride_frames,
        seed=run.seed,
    )
    return build_teacher(teacher, segments, workspace, report)


def _reporter(client: TrainingClient, run: ClaimedRun) -> Callable[[Progress], None]:
    began_at = time.monotonic()

    def report(progress: Progress) -> None:
        elapsed = timedelta(seconds=time.monotonic() - began_at)
        client.report(run.lease, progress.stage, progress.share, progress.validation_error_db, elapsed)

    return report


def fetch_model(client: TrainingClient, model: str) -> TeacherModel:
    """Return the parts of a published model."""
    content = client.content(model)
    weights: dict[str, npt.NDArray[np.float32]] = {
        tensor.name: np.frombuffer(client.blob(tensor.blob), "<f4").reshape(tensor.shape) for tensor in content.tensors
    }
    return TeacherModel(content.family, client.blob(content.graph), weights)
