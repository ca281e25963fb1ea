"""SigMF recordings as a receiver; the recordings are written by the sigmf library, an implementation of its own."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sigmf import SigMFFile

from bandwatch.errors import BandwatchError, InvalidArgumentError, NotFoundError
from bandwatch.spectrogram.samples import decode_samples
from observer_agent.receivers.blocks import Block
from observer_agent.receivers.recording import SigmfRecording

RATE_HZ = 20_000.0
TYPES = {
    "cu8": ("u1", 127.5, 127.5),
    "ci8": ("i1", 128.0, 0.0),
    "ci16_le": ("<i2", 32768.0, 0.0),
    "cf32_le": ("<f4", 1.0, 0.0),
}


def write_recording(folder: Path, datatype: str = "ci8", count: int = 5000, **captured: Any) -> Path:
    """Write noise and return its metadata file; the samples as complex numbers lie beside it."""
    iq = np.random.default_rng(1).uniform(-0.9, 0.9, 2 * count)
    dtype, scale, zero = TYPES[datatype]
    codes = iq * scale + zero
    np.save(folder / "iq.npy", iq.view(np.complex128))
    data = folder / "cell.sigmf-data"
    (codes if dtype == "<f4" else np.rint(codes)).astype(dtype).tofile(data)
    recording = SigMFFile(
        data_file=str(data),
        global_info={"core:datatype": datatype, "core:sample_rate": RATE_HZ, "core:version": "1.2.0"},
    )
    recording.add_capture(0, metadata={"core:frequency": 1890e6} if captured.get("named", True) else {})
    recording.tofile(str(folder / "cell.sigmf-meta"))
    return folder / "cell.sigmf-meta"


def play(recording: SigmfRecording) -> list[Block]:
    return list(recording.blocks(threading.Event()))


def samples_of(blocks: list[Block]) -> np.ndarray[Any, np.dtype[np.complex64]]:
    return np.concatenate([decode_samples(block.raw, block.datatype) for block in blocks])


@pytest.mark.parametrize("datatype", TYPES)
def test_a_recording_gives_back_the_samples_that_were_written(tmp_path: Path, datatype: str) -> None:
    recording = SigmfRecording(write_recording(tmp_path, datatype))
    blocks = play(recording)
    assert (recording.sample_rate_hz, recording.center_hz, recording.gain_db) == (RATE_HZ, 1890e6, None)
    assert [block.first_sample for block in blocks] == [0, 2000, 4000]
    assert not any(block.discontinuity for block in blocks)
    step = {"cu8": 1 / 127.5, "ci8": 1 / 128, "ci16_le": 1 / 32768, "cf32_le": 1e-7}[datatype]
    np.testing.assert_allclose(samples_of(blocks), np.load(tmp_path / "iq.npy"), atol=step)


def test_a_part_of_a_recording_is_that_part(tmp_path: Path) -> None:
    path = write_recording(tmp_path)
    recording = SigmfRecording(path, start_s=0.05, duration_s=0.13)
    blocks = play(recording)
    assert blocks[0].first_sample == 0
    np.testing.assert_allclose(samples_of(blocks), np.load(tmp_path / "iq.npy")[1000:3600], atol=1 / 128)


def test_a_recording_that_begins_anew_says_so_and_its_samples_count_on(tmp_path: Path) -> None:
    recording = SigmfRecording(write_recording(tmp_path, count=3000), loop=True)
    stop, seen = threading.Event(), []
    for block in recording.blocks(stop):
        seen.append((block.first_sample, block.sample_count, block.discontinuity))
        if len(seen) == 5:
            stop.set()
    assert seen == [
        (0, 2000, False),
        (2000, 1000, False),
        (3000, 2000, True),
        (5000, 1000, False),
        (6000, 2000, True),
    ]


def test_a_recording_without_a_frequency_needs_to_be_told_it(tmp_path: Path) -> None:
    path = write_recording(tmp_path, named=False)
    with pytest.raises(InvalidArgumentError, match="--center-hz"):
        SigmfRecording(path)
    assert SigmfRecording(path, center_hz=2.6e9).center_hz == 2.6e9


def changed(path: Path, **global_info: Any) -> None:
    metadata = json.loads(path.read_text())
    metadata["global"] |= {f"core:{name}": value for name, value in global_info.items()}
    path.write_text(json.dumps(metadata))


def without_data(path: Path) -> None:
    path.with_suffix(".sigmf-data").unlink()


def empty(path: Path) -> None:
    path.with_suffix(".sigmf-data").write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (lambda path: changed(path, datatype="rf64_be"), InvalidArgumentError, "rf64_be"),
        (lambda path: changed(path, sample_rate="fast"), InvalidArgumentError, "core:sample_rate"),
        (lambda path: changed(path, num_channels=2), InvalidArgumentError, "2 channels"),
        (lambda path: path.write_text("{"), InvalidArgumentError, "not of the form"),
        (lambda path: path.unlink(), NotFoundError, "no file"),
        (without_data, NotFoundError, "sigmf-data"),
        (empty, InvalidArgumentError, "nothing is left"),
    ],
)
def test_a_recording_that_cannot_be_played_says_which_file_and_why(
    tmp_path: Path, spoil: Any, kind: type[BandwatchError], words: str
) -> None:
    path = write_recording(tmp_path)
    spoil(path)
    with pytest.raises(kind, match=words) as caught:
        SigmfRecording(path)
    assert str(tmp_path) in caught.value.message


def test_a_data_file_in_place_of_metadata_is_pointed_out(tmp_path: Path) -> None:
    path = write_recording(tmp_path).with_suffix(".sigmf-data")
    with pytest.raises(InvalidArgumentError, match="sigmf-meta"):
        SigmfRecording(path)


@pytest.mark.recordings
def test_real_recordings_can_be_played(recordings_dir: Path) -> None:
    paths = sorted(recordings_dir.glob("cell-*.sigmf-meta"))
    for path in paths:
        recording = SigmfRecording(path, duration_s=0.2)
        assert sum(block.sample_count for block in play(recording)) == round(0.2 * recording.sample_rate_hz)


@pytest.mark.recordings
def test_real_noise_without_a_frequency_needs_to_be_told_it(recordings_dir: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="--center-hz"):
        SigmfRecording(recordings_dir / "noise-rtlsdr.sigmf-meta")
