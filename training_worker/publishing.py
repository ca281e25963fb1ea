"""A trained model into the coordinator's store, and a published one out of it."""

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.manifest import BlobReference, ModelContent, TensorEntry
from training_worker.coordinator_client import TrainingClient
from training_worker.recipes.trained import TrainedModel


def published(client: TrainingClient, trained: TrainedModel) -> ModelContent:
    """Store the parts of a model and return its content: tensors that a teacher has too are there already."""
    return ModelContent(
        family=trained.family,
        graph=client.store(trained.graph),
        tensors=tuple(
            TensorEntry(name=name, shape=values.shape, blob=_stored(client, values))
            for name, values in sorted(trained.tensors.items())
        ),
        frozen_layers=trained.frozen_layers,
        error=trained.error,
        scores=trained.scores,
        default_score=trained.default_score,
        golden_errors_db=trained.golden_errors_db,
        parent_error=trained.parent_error,
        candidates=trained.candidates,
        choice=trained.choice,
    )


def _stored(client: TrainingClient, values: npt.NDArray[np.float32]) -> BlobReference:
    return client.store(np.ascontiguousarray(values, dtype="<f4").tobytes())
