"""A network that was trained elsewhere becomes a model of a band."""

from collections.abc import Callable, Sequence
from pathlib import Path

from training_worker.coordinator_client import TrainingClient
from training_worker.evaluation.recordings import read_recordings
from training_worker.publishing import published
from training_worker.recipes.imported import import_keras
from training_worker.recipes.progress import Progress
from training_worker.recipes.trained import TrainedModel


def read_model(
    path: Path, recordings: Sequence[Path], stride_frames: int, report: Callable[[Progress], None]
) -> TrainedModel:
    """Return the network of a Keras 2 file as a model, scored and calibrated on SigMF recordings.

    Raises:
        BandwatchError: The file or a recording cannot be read, or there is too little of it.
    """
    segments = [recording.codes for recording in read_recordings(recordings)]
    return import_keras(path, segments, stride_frames, report)


def register(client: TrainingClient, band: str, model: TrainedModel) -> str:
    """Store a model's parts with the coordinator, register it as one of a band, and return its name."""
    return client.import_model(band, published(client, model))
