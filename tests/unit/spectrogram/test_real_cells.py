"""Frames of real LTE cells: what is known of the signal must be found in them."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import FrameMaker
from bandwatch.spectrogram.quality import clipped_share, is_noise_only
from bandwatch.spectrogram.samples import decode_samples

pytestmark = pytest.mark.recordings

CELLS = [
    ("cell-2645a-2644.9", 2645e6),
    ("cell-2645a-2645.0", 2645e6),
    ("cell-2645a-2645.1", 2645e6),
    ("cell-2645b-2644.9", 2645e6),
    ("cell-2645b-2645.0", 2645e6),
    ("cell-2605-2604.9", 2605e6),
    ("cell-2605-2605.0", 2605e6),
    ("cell-2585-2585.0", 2585e6),
    ("cell-1890-1890.0", 1890e6),
]
WIDTH_HZ = 1.92e6
QUARTER_SECOND = 976
SUBFRAMES_OF_A_RADIO_FRAME_MS = 10  # 3GPP TS 36.211, 4.1


def _frames(folder: Path, name: str, center_hz: float) -> NDArray[np.float32]:
    meta = json.loads((folder / f"{name}.sigmf-meta").read_text())
    raw = (folder / f"{name}.sigmf-data").read_bytes()
    tuned_hz = meta["captures"][0].get("core:frequency", center_hz)
    maker = FrameMaker(Band(center_hz, WIDTH_HZ), meta["global"]["core:sample_rate"], tuned_hz)
    return maker.push(decode_samples(raw, meta["global"]["core:datatype"]))


def _correlation(frames_db: NDArray[np.float32], lags: range) -> NDArray[np.float64]:
    """Give the correlation of the frames' mean level with itself, one value a lag."""
    level = frames_db.mean(axis=1, dtype=np.float64)
    return np.array([np.corrcoef(level[:-lag], level[lag:])[0, 1] for lag in lags])


@pytest.mark.parametrize(("name", "center_hz"), CELLS)
def test_a_real_cell_repeats_every_ten_milliseconds(recordings_dir: Path, name: str, center_hz: float) -> None:
    lags = range(30, 50)
    correlation = _correlation(_frames(recordings_dir, name, center_hz), lags)
    period_ms = lags[int(correlation.argmax())] * 0.256
    assert period_ms == pytest.approx(SUBFRAMES_OF_A_RADIO_FRAME_MS, abs=0.128)
    assert correlation.max() > 0.77


def test_recorded_noise_repeats_at_no_period(recordings_dir: Path) -> None:
    frames = _frames(recordings_dir, "noise-rtlsdr", 1e9)
    assert np.abs(_correlation(frames, range(1, 100))).max() < 0.1


@pytest.mark.parametrize(("name", "center_hz"), CELLS)
def test_no_quarter_second_of_a_real_cell_is_noise_only(recordings_dir: Path, name: str, center_hz: float) -> None:
    frames = _frames(recordings_dir, name, center_hz)
    pieces = [frames[start : start + QUARTER_SECOND] for start in range(0, len(frames) - QUARTER_SECOND + 1, 244)]
    assert len(pieces) == 13
    assert not any(is_noise_only(piece) for piece in pieces)


def test_recorded_noise_is_noise_only_in_all_its_pieces(recordings_dir: Path) -> None:
    frames = _frames(recordings_dir, "noise-rtlsdr", 1e9)
    assert is_noise_only(frames)
    assert all(is_noise_only(frames[start : start + 125]) for start in range(0, len(frames) - 124, 125))


@pytest.mark.parametrize(("name", "center_hz"), CELLS[:3])
def test_the_silent_subframes_of_a_tdd_cell_are_noise_only(recordings_dir: Path, name: str, center_hz: float) -> None:
    frames = _frames(recordings_dir, name, center_hz)
    level = frames.mean(axis=1)
    silent = frames[level < np.percentile(level, 20)]
    assert level.max() - silent.mean() > 25
    assert is_noise_only(silent)
    assert is_noise_only(silent[:125])


def test_the_subcarriers_of_a_cell_stay_in_their_bins_when_the_receiver_is_tuned_200_khz_away(
    recordings_dir: Path,
) -> None:
    low, high = (_frames(recordings_dir, f"cell-2645a-{tuned}", 2645e6).mean(axis=0) for tuned in ("2644.9", "2645.1"))
    shifts = range(-14, 15)
    likeness = [np.corrcoef(low[20:108], high[20 + shift : 108 + shift])[0, 1] for shift in shifts]
    assert shifts[int(np.argmax(likeness))] == 0
    assert max(likeness) > 0.85


def test_the_strongest_recordings_show_their_clipping(recordings_dir: Path) -> None:
    clipped = clipped_share((recordings_dir / "cell-2585-2585.0.sigmf-data").read_bytes(), "cu8")
    assert 0.05 < clipped < 0.1
    assert clipped_share((recordings_dir / "noise-rtlsdr.sigmf-data").read_bytes(), "cu8") == 0
