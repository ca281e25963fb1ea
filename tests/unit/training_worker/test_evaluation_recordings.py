"""SigMF recordings in memory: what they hold, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bandwatch.errors import BandwatchError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FrameMaker
from tests.unit.training_worker.sigmf_cells import RATE_HZ, write_cell, write_samples
from training_worker.evaluation.recordings import check_unheard, read_recording, read_recordings, split


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cell(tmp_path_factory.mktemp("cell"), "cell-1.5", seed=1)


def test_a_recording_may_be_named_by_its_metadata_its_samples_or_the_name_of_both(cell: Path) -> None:
    names = [cell, cell.with_name("cell-1.5.sigmf-data"), cell.with_name("cell-1.5")]
    recordings = read_recordings(names)
    assert {recording.name for recording in recordings} == {"cell-1.5"}
    assert all(np.array_equal(recording.codes, recordings[0].codes) for recording in recordings)


def test_the_frames_are_half_decibels_above_minus_120_as_an_observer_makes_them(cell: Path) -> None:
    recording = read_recording(cell)
    samples = np.fromfile(cell.with_name("cell-1.5.sigmf-data"), "<c8")
    frames_db = FrameMaker(Band(1890e6, RATE_HZ), RATE_HZ, 1890e6).push(samples)
    assert recording.codes.dtype == np.uint8
    np.testing.assert_allclose(recording.codes, 2 * (frames_db + 120), atol=0.5001)
    assert (recording.sample_rate_hz, recording.center_hz) == (RATE_HZ, 1890e6)
    np.testing.assert_array_equal(recording.frames_of(recording.iq), recording.codes)


def test_the_local_data_and_the_rest_are_the_whole_recording(cell: Path) -> None:
    recording = read_recording(cell)
    local, rest = split(recording, 0.5)
    assert len(local) == 1953
    np.testing.assert_array_equal(np.concatenate([local, rest]), recording.codes)


def test_too_short_a_rest_is_refused_with_what_is_there(cell: Path) -> None:
    with pytest.raises(FailedPreconditionError, match=r"holds 0\.800 s, and after 0\.75 s"):
        split(read_recording(cell), 0.75)


def test_recordings_of_different_rates_are_refused_because_their_bands_differ_in_width(
    cell: Path, tmp_path: Path
) -> None:
    other = write_cell(tmp_path, "wide", seed=2, seconds=0.1, rate_hz=1e6)
    with pytest.raises(InvalidArgumentError, match="wide has 1 MS/s"):
        read_recordings([cell, other])


def test_a_recording_cannot_teach_and_be_judged(cell: Path) -> None:
    heard = read_recording(cell)
    with pytest.raises(InvalidArgumentError, match="leave it out"):
        check_unheard([heard], [read_recording(cell.with_name("cell-1.5.sigmf-data"))])


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(metadata: dict[str, Any]) -> None:
        part = metadata
        for key in keys[:-1]:
            part = part[key] if not isinstance(part, list) else part[int(key)]
        del part[keys[-1]]

    return change


def _two_captures(metadata: dict[str, Any]) -> None:
    metadata["captures"] *= 2


def _two_channels(metadata: dict[str, Any]) -> None:
    metadata["global"]["core:num_channels"] = 2


def _odd_datatype(metadata: dict[str, Any]) -> None:
    metadata["global"]["core:datatype"] = "rf64_le"


def _too_slow(metadata: dict[str, Any]) -> None:
    metadata["global"]["core:sample_rate"] = 200e3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without("global"), "global"),
        (_without("global", "core:sample_rate"), "core:sample_rate"),
        (lambda metadata: metadata["captures"][0].clear(), "core:frequency"),
        (_two_captures, "captures"),
        (_two_channels, "core:num_channels"),
        (_odd_datatype, "rf64_le"),
        (_too_slow, "too narrow"),
    ],
)
def test_metadata_that_say_something_else_are_refused_by_the_name_of_what_is_wrong(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    path = write_samples(tmp_path, "odd", np.ones(2000, np.complex64))
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))
    with pytest.raises(InvalidArgumentError, match=words) as refused:
        read_recording(path)
    assert "odd.sigmf" in refused.value.message


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "null"])
def test_a_file_that_is_no_metadata_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.sigmf-meta").write_text(content)
    with pytest.raises(InvalidArgumentError, match="no metadata of one capture"):
        read_recording(tmp_path / "bad.sigmf-meta")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.sigmf-meta"):
        read_recording(tmp_path / "nowhere")
    path = write_samples(tmp_path, "half", np.ones(2000, np.complex64))
    path.with_name("half.sigmf-data").unlink()
    with pytest.raises(NotFoundError, match=r"half\.sigmf-data"):
        read_recording(path)


@pytest.mark.parametrize("samples", [np.empty(0), np.array([np.nan + 0j, 1.0])])
def test_samples_that_are_none_or_no_numbers_are_refused(tmp_path: Path, samples: np.ndarray) -> None:
    path = write_samples(tmp_path, "odd", np.ones(2000, np.complex64))
    samples.astype("<c8").tofile(path.with_name("odd.sigmf-data"))
    with pytest.raises(BandwatchError, match="no samples, or some"):
        read_recording(path)
