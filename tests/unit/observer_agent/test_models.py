"""Models as onnxruntime runs them."""

import numpy as np
import pytest

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import CorruptError
from observer_agent.detection.model import ScoringModel, SelfTestError, load_model
from tests.unit.observer_agent.tiny_models import Publisher, expected_errors_db


def load(publisher: Publisher, manifest: Manifest) -> ScoringModel:
    def read_blob(reference: BlobReference) -> bytes:
        return publisher.coordinator.blobs[reference.digest]

    return load_model(manifest, read_blob, threads=1)


def test_a_model_scores_windows_as_the_textbook_does(publisher: Publisher) -> None:
    model = load(publisher, publisher.manifest(1, scale=0.5, bias=7.0))
    windows = golden_windows(9)
    errors_db, predicted = model.score(windows)
    np.testing.assert_allclose(errors_db, expected_errors_db(windows, scale=0.5, bias=7.0), rtol=1e-5)
    np.testing.assert_allclose(
        predicted, 0.5 * windows[:, :100].mean(axis=1, keepdims=True) + np.full((9, 25, 128), 7.0), rtol=1e-5
    )
    assert {errors_db.dtype.name, predicted.dtype.name} == {"float32"}


def test_a_model_scores_a_view_of_overlapping_windows(publisher: Publisher) -> None:
    model = load(publisher, publisher.manifest(1))
    frames = golden_windows(3).reshape(-1, 128)
    view = np.lib.stride_tricks.sliding_window_view(frames, 125, axis=0)[::50].transpose(0, 2, 1)
    np.testing.assert_allclose(model.score(view)[0], expected_errors_db(view, scale=1, bias=0), rtol=1e-5)


def test_thresholds_are_those_of_the_nearest_calibrated_rate_that_is_not_above(publisher: Publisher) -> None:
    model = load(publisher, publisher.manifest(1, threshold_db=20.0))
    assert model.threshold(0.01, "empirical") == (20.0, 0.01)
    assert model.threshold(0.01, "gaussian") == (21.0, 0.01)
    assert model.threshold(0.005, "empirical") == (23.0, 0.001)


@pytest.mark.parametrize("off_db", [0.0015, 1.0])
def test_a_model_that_computes_other_errors_here_does_not_load(publisher: Publisher, off_db: float) -> None:
    with pytest.raises(SelfTestError, match="golden windows"):
        load(publisher, publisher.manifest(1, off_db=off_db))


def test_a_model_within_the_tolerance_loads(publisher: Publisher) -> None:
    assert load(publisher, publisher.manifest(6, off_db=0.0005)).serial == 6


def test_a_tensor_of_another_size_does_not_load(publisher: Publisher) -> None:
    manifest = publisher.manifest(1)
    scale, bias = manifest.content.tensors
    longer = bias.model_copy(update={"shape": (26, 128)})
    content = manifest.content.model_copy(update={"tensors": (scale, longer)})
    with pytest.raises(CorruptError, match="bias"):
        load(publisher, manifest.model_copy(update={"content": content}))
