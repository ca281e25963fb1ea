"""Released models in files and on recordings."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import ErrorStatistics, Manifest, ModelContent, TensorEntry
from bandwatch.errors import (
    BandwatchError,
    CorruptError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from bandwatch.spectrogram.windows import cut_windows
from tests.unit.observer_agent.tiny_models import expected_errors_db, expected_residuals, score_table, tiny_graph
from tests.unit.training_worker.sigmf_cells import write_cell, write_samples
from training_worker.evaluation.manifests import read_kept
from training_worker.evaluation.recordings import Recording, read_recording
from training_worker.evaluation.released import errors_of, load_released, read_frames, realised_rates, table

STRIDE = 25
THRESHOLDS = (6.4, 3.1, 1.86)


def make_manifest(blobs: BlobStore, scores: tuple[str, ...] = ("error", "whitened", "combined")) -> Manifest:
    arrays = {"scale": np.array([1.0], "<f4"), "bias": np.full((25, 128), 2.0, "<f4")}
    content = ModelContent(
        family="tiny",
        graph=blobs.write(tiny_graph(every_score=len(scores) > 1)),
        tensors=tuple(
            TensorEntry(name=name, shape=values.shape, blob=blobs.write(values.tobytes()))
            for name, values in arrays.items()
        ),
        frozen_layers=1,
        error=ErrorStatistics(mean_db=3.0, deviation_db=0.3, windows=100),
        scores=tuple(score_table(score, threshold) for score, threshold in zip(scores, THRESHOLDS, strict=False)),
        default_score="error",
        golden_errors_db=(1.0,),
    )
    return Manifest(
        serial=1,
        model="models/tiny",
        band="bands/b",
        cell=None,
        parent=None,
        run="runs/r",
        content=content,
        created_at=datetime.now(UTC),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder as an agent keeps its models, with the manifest beside."""
    blobs = BlobStore(tmp_path / "blobs")
    manifest = make_manifest(blobs).to_bytes()
    (tmp_path / "plain.json").write_bytes(manifest)
    active = {"serial": 1, "manifest": blobs.write(manifest).model_dump()}
    (tmp_path / "active.json").write_text(json.dumps({"active": active, "previous": None, "accepted": {}}))
    return tmp_path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read_recording(write_cell(tmp_path_factory.mktemp("cell"), "cell", seed=1))


@pytest.mark.parametrize("name", ["plain.json", "active.json"])
def test_a_manifest_is_read_by_itself_or_through_an_agents_pointer(folder: Path, name: str) -> None:
    kept = read_kept(folder / name, None)
    assert kept.manifest.model == "models/tiny"
    load_released(kept.manifest.content, kept.read_blob)


def test_a_manifest_may_be_named_where_the_agent_keeps_it_among_its_blobs(folder: Path) -> None:
    digest = json.loads((folder / "active.json").read_text())["active"]["manifest"]["digest"]
    kept = read_kept(folder / "blobs" / digest[:2] / digest, None)
    assert kept.blobs == folder / "blobs"


def test_blobs_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "blobs").rename(tmp_path / "elsewhere")
    with pytest.raises(NotFoundError, match="--blobs"):
        read_kept(folder / "active.json", None)
    kept = read_kept(folder / "active.json", tmp_path / "elsewhere")
    load_released(kept.manifest.content, kept.read_blob)


def test_a_blob_that_has_changed_is_refused(folder: Path) -> None:
    kept = read_kept(folder / "plain.json", None)
    graph = kept.manifest.content.graph.digest
    (folder / "blobs" / graph[:2] / graph).write_bytes(b"something else")
    with pytest.raises(CorruptError, match="changed on disk"):
        load_released(kept.manifest.content, kept.read_blob)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "no manifest"),
        (b'{"active": null}', "no release is in force"),
        (b'{"active": {"manifest": 3}}', "which release"),
    ],
)
def test_other_files_are_refused_with_what_they_are_not(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(BandwatchError, match=words):
        read_kept(tmp_path / "file", None)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="none"):
        read_kept(tmp_path / "none", None)


def test_errors_are_those_of_the_textbook(folder: Path, recording: Recording) -> None:
    kept = read_kept(folder / "plain.json", None)
    model = load_released(kept.manifest.content, kept.read_blob)
    found = errors_of(model, [recording.codes, recording.codes[:10]], STRIDE)
    expected = expected_errors_db(cut_windows(recording.codes, STRIDE), scale=1.0, bias=2.0)
    assert found.windows == len(expected)
    assert found.mean_db == pytest.approx(expected.mean(), rel=1e-5)
    assert found.deviation_db == pytest.approx(expected.std(), rel=1e-4)


def test_realised_rates_are_the_shares_of_windows_above_each_threshold(folder: Path, recording: Recording) -> None:
    kept = read_kept(folder / "plain.json", None)
    found = realised_rates(load_released(kept.manifest.content, kept.read_blob), recording, STRIDE)
    windows = cut_windows(recording.codes, STRIDE)
    errors = expected_errors_db(windows, scale=1.0, bias=2.0)
    whitened = np.sqrt(np.square(expected_residuals(windows, scale=1.0, bias=2.0)).mean(1))
    combined = np.maximum(np.log(errors), np.log(whitened))
    for score, values, bound in zip(found.rates, (errors, whitened, combined), THRESHOLDS, strict=True):
        rows = {row["false_alarm_rate"]: row for row in found.rates[score]}
        assert rows[0.01]["bound"] == pytest.approx(np.mean(values > bound))
        assert rows[0.01]["empirical"] == pytest.approx(np.mean(values > bound + 1))
        assert rows[0.001]["gaussian"] == pytest.approx(np.mean(values > bound + 12))
    assert 0 < found.rates["error"][1]["bound"] < 1
    assert table([found]).count("| cell |") == 3


def test_a_model_of_the_edition_with_one_score_is_judged_by_that(tmp_path: Path, recording: Recording) -> None:
    blobs = BlobStore(tmp_path)
    model = load_released(make_manifest(blobs, ("error",)).content, lambda reference: blobs.read(reference.digest))
    assert list(realised_rates(model, recording, STRIDE).rates) == ["error"]


def test_a_tensor_that_does_not_fill_its_shape_is_refused(tmp_path: Path) -> None:
    content = make_manifest(BlobStore(tmp_path)).content
    with pytest.raises(CorruptError, match="do not fill shape"):
        load_released(content, lambda _: b"12345678")


def test_a_recording_shorter_than_a_window_is_refused(folder: Path, tmp_path: Path) -> None:
    kept = read_kept(folder / "plain.json", None)
    short = read_recording(write_samples(tmp_path, "short", np.ones(2000, np.complex64)))
    with pytest.raises(FailedPreconditionError, match="shorter than the 125 frames"):
        realised_rates(load_released(kept.manifest.content, kept.read_blob), short, STRIDE)


def test_frames_are_read_as_rows_of_128(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(0, 255, (130, 128), dtype=np.uint8)
    codes.tofile(tmp_path / "frames.u8")
    np.testing.assert_array_equal(read_frames(tmp_path / "frames.u8"), codes)


def test_files_that_are_no_frames_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.u8").write_bytes(b"x" * 200)
    with pytest.raises(InvalidArgumentError, match="ends inside a frame"):
        read_frames(tmp_path / "odd.u8")
    with pytest.raises(NotFoundError, match=r"none\.u8"):
        read_frames(tmp_path / "none.u8")
    kept = read_kept(folder / "plain.json", None)
    with pytest.raises(FailedPreconditionError, match="at least 125"):
        errors_of(load_released(kept.manifest.content, kept.read_blob), [np.zeros((9, 128), np.uint8)], STRIDE)
