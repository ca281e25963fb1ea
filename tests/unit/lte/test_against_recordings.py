"""Simulated TDD cells beside recordings of real ones, all as frames of 1.92 MHz.

The recorded cells are wider than 1.92 MHz, so they fill all bins. A simulated cell of 25 resource blocks does so too,
and one of 6 leaves a guard on either side. Compared is what depends little on the level: the rhythm, and how far bins
jump from frame to frame.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bandwatch.lte.network.network import parse_network
from bandwatch.spectrogram.bands import Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, decode_frames
from bandwatch.spectrogram.samples import decode_samples

pytestmark = pytest.mark.recordings

RECORDINGS = {
    "cell-2645a-2645.0": 2645e6,
    "cell-2645b-2645.0": 2645e6,
    "cell-2605-2605.0": 2605e6,
    "cell-2585-2585.0": 2585e6,
    "cell-1890-1890.0": 1890e6,
}
WIDTH_HZ = 1.92e6
MIDDLE = slice(36, 92)  # the occupied bins of 6 resource blocks, without their edges
RADIO_FRAME, HALF = range(38, 41), range(19, 21)  # frames in 10 ms and in 5 ms (3GPP TS 36.211, 4.2)
BETWEEN = range(27, 32)
CELL = """
seed = 5

[[bands]]
id = "band"
center_hz = 2645e6
width_hz = 1.92e6
duplex = "tdd"

[[cells]]
id = "cell"
band = "band"
identity = 7
resource_blocks = {resource_blocks}
ports = 2
load_day = 0.3
load_night = 0.3

[[observers]]
id = "observer"
cell = "cell"
position_m = [{distance_m}, 0.0]
"""


@pytest.fixture(scope="module")
def recorded(recordings_dir: Path) -> dict[str, NDArray[np.float32]]:
    """Give the frames of real cells in dB."""
    frames = {}
    for name, center_hz in RECORDINGS.items():
        meta = json.loads((recordings_dir / f"{name}.sigmf-meta").read_text())
        raw = (recordings_dir / f"{name}.sigmf-data").read_bytes()
        maker = FrameMaker(Band(center_hz, WIDTH_HZ), meta["global"]["core:sample_rate"], center_hz)
        frames[name] = maker.push(decode_samples(raw, meta["global"]["core:datatype"]))
    return frames


@pytest.fixture(scope="module", params=[(6, 700.0), (25, 900.0), (25, 600.0)], ids=str)
def simulated(request: pytest.FixtureRequest) -> NDArray[np.float32]:
    """Give a second of a simulated cell in dB."""
    resource_blocks, distance_m = request.param
    network = parse_network(CELL.format(resource_blocks=resource_blocks, distance_m=distance_m))
    return decode_frames(network.frames("observer", 0.0, 1.0), DEFAULT_REFERENCE_DB)


def rhythm(frames_db: NDArray[np.float32], lags: range) -> float:
    """Return the largest correlation of the frames' mean level with itself at some lags."""
    level = frames_db[:, MIDDLE].mean(axis=1, dtype=np.float64)
    return max(float(np.corrcoef(level[:-lag], level[lag:])[0, 1]) for lag in lags)


def jumps_db(frames_db: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far a bin jumps from frame to frame: the quantiles 0.1, 0.5 and 0.9, float64 [3]."""
    return np.quantile(np.abs(np.diff(frames_db[:, MIDDLE], axis=0)), (0.1, 0.5, 0.9))


def test_a_simulated_cell_has_the_rhythm_of_real_ones(
    simulated: NDArray[np.float32], recorded: dict[str, NDArray[np.float32]]
) -> None:
    for lags, tolerance in ((RADIO_FRAME, 0.1), (HALF, 0.2), (BETWEEN, 0.25)):
        real = [rhythm(frames, lags) for frames in recorded.values()]
        assert min(real) - tolerance < rhythm(simulated, lags) < max(real) + tolerance


def test_a_simulated_cell_jumps_from_frame_to_frame_as_far_as_real_ones(
    simulated: NDArray[np.float32], recorded: dict[str, NDArray[np.float32]]
) -> None:
    real = np.stack([jumps_db(frames) for frames in recorded.values()])
    jumps = jumps_db(simulated)
    assert (jumps > 0.7 * real.min(axis=0)).all()
    assert (jumps < 1.3 * real.max(axis=0)).all()


def test_six_resource_blocks_are_narrower_than_a_recorded_cell_and_25_are_not(
    simulated: NDArray[np.float32], recorded: dict[str, NDArray[np.float32]], request: pytest.FixtureRequest
) -> None:
    def occupied(frames_db: NDArray[np.float32]) -> int:
        level_db = 10 * np.log10(np.mean(10 ** (frames_db.astype(np.float64) / 10), axis=0))
        return int((level_db > np.quantile(level_db, 0.9) - 10).sum())

    assert min(occupied(frames) for frames in recorded.values()) > 120
    expected = range(72, 78) if "(6," in request.node.name else range(120, 129)
    assert occupied(simulated) in expected
