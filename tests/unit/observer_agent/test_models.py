"""Models as onnxruntime runs them."""

import numpy as np
import onnx
import pytest

from bandwatch.artifacts.golden import golden_windows
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import CorruptError
from observer_agent.detection.model import ScoringModel, SelfTestError, load_model
from tests.unit.observer_agent.tiny_models import (
    Publisher,
    expected_errors_db,
    expected_residuals,
    score_table,
    tiny_graph,
)


def load(publisher: Publisher, manifest: Manifest) -> ScoringModel:
    def read_blob(reference: BlobReference) -> bytes:
        return publisher.coordinator.blobs[reference.digest]

    return load_model(manifest, read_blob, threads=1)


def test_a_model_scores_windows_as_the_textbook_does(publisher: Publisher) -> None:
    model = load(publisher, publisher.manifest(1, scale=0.5, bias=7.0))
    windows = golden_windows(9)
    found = model.score(windows)
    np.testing.assert_allclose(found.error_db, expected_errors_db(windows, scale=0.5, bias=7.0), rtol=1e-5)
    np.testing.assert_allclose(
        found.predicted, 0.5 * windows[:, :100].mean(axis=1, keepdims=True) + np.full((9, 25, 128), 7.0), rtol=1e-5
    )
    residuals = expected_residuals(windows, scale=0.5, bias=7.0)
    assert found.whitened is not None
    assert found.bands is not None
    np.testing.assert_allclose(found.whitened, np.sqrt((residuals**2).mean(axis=1)), rtol=1e-4)
    np.testing.assert_allclose(found.bands, residuals.reshape(9, 4, 32).mean(axis=2), rtol=1e-4, atol=1e-3)
    given = (found.error_db, found.predicted, found.whitened, found.bands)
    assert {values.dtype.name for values in given} == {"float32"}


def test_a_model_that_knows_the_error_only_still_runs(publisher: Publisher) -> None:
    windows = golden_windows(5)
    found = load(publisher, publisher.manifest(1, every_score=False)).score(windows)
    np.testing.assert_allclose(found.error_db, expected_errors_db(windows, scale=1, bias=0), rtol=1e-5)
    assert (found.whitened, found.bands) == (None, None)


@pytest.mark.parametrize("score", ["whitened", "band", "standing"])
def test_a_model_whose_graph_lacks_a_score_that_it_is_calibrated_for_does_not_load(
    publisher: Publisher, score: str
) -> None:
    tables = (score_table("error"), score_table(score))
    assert load(publisher, publisher.manifest(1, tables=tables)).serial == 1
    with pytest.raises(CorruptError, match=f"calibrated for the score '{score}'"):
        load(publisher, publisher.manifest(2, tables=tables, every_score=False))


def exchanged(graph: bytes) -> bytes:
    """Return a graph that gives its bands as whitened, and the other way round."""
    model = onnx.load_model_from_string(graph)
    other = {"whitened": "bands", "bands": "whitened"}
    for node in model.graph.node:
        node.output[:] = [other.get(name, name) for name in node.output]
    for output in model.graph.output:
        output.name = other.get(output.name, output.name)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@pytest.mark.parametrize("score", ["whitened", "band"])
def test_a_score_of_another_shape_does_not_load(publisher: Publisher, score: str) -> None:
    manifest = publisher.manifest(1, tables=(score_table(score),))
    graph = publisher.coordinator.add_blob(exchanged(tiny_graph(every_score=True)))
    content = manifest.content.model_copy(update={"graph": graph})
    with pytest.raises(CorruptError, match="which its graph does not give"):
        load(publisher, manifest.model_copy(update={"content": content}))


def test_a_model_scores_a_view_of_overlapping_windows(publisher: Publisher) -> None:
    model = load(publisher, publisher.manifest(1))
    frames = golden_windows(3).reshape(-1, 128)
    view = np.lib.stride_tricks.sliding_window_view(frames, 125, axis=0)[::50].transpose(0, 2, 1)
    np.testing.assert_allclose(model.score(view).error_db, expected_errors_db(view, scale=1, bias=0), rtol=1e-5)


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
