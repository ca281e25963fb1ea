"""SigMF recordings of made-up cells, written by the sigmf library."""

from pathlib import Path

import numpy as np
from sigmf import SigMFFile

RATE_HZ = 500e3
"""The lowest rate that frames can be made at: one segment of 128 samples a frame."""
SUBFRAMES = 10


def write_cell(folder: Path, name: str, seed: int, seconds: float = 0.8, rate_hz: float = RATE_HZ) -> Path:
    """Write a cell of coloured noise whose power repeats every 10 ms, and return its metadata file."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate_hz)
    noise = random.standard_normal(2 * count, np.float32).view(np.complex64)
    taps = random.standard_normal(2 * 12, np.float32).view(np.complex64)
    loads = random.uniform(0.3, 1.0, SUBFRAMES)
    subframe = (np.arange(count) / rate_hz / 1e-3).astype(int) % SUBFRAMES
    iq = np.convolve(noise, taps / np.linalg.norm(taps), mode="same") * loads[subframe] * 0.2
    return write_samples(folder, name, iq.astype(np.complex64), rate_hz)


def write_samples(folder: Path, name: str, iq: np.ndarray, rate_hz: float = RATE_HZ) -> Path:
    """Write samples as they are, and return the metadata file."""
    data = folder / f"{name}.sigmf-data"
    iq.astype("<c8").tofile(data)
    recording = SigMFFile(
        data_file=str(data),
        global_info={"core:datatype": "cf32_le", "core:sample_rate": rate_hz, "core:version": "1.2.0"},
    )
    recording.add_capture(0, metadata={"core:frequency": 1890e6})
    recording.tofile(str(folder / f"{name}.sigmf-meta"))
    return folder / f"{name}.sigmf-meta"
