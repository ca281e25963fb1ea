"""Writes every frame and score of a stream to files, for people and benchmarks."""

import json
import math
from pathlib import Path

import numpy as np

from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.pipeline import FrameBatch, Run


class Inspection:
    """Files of one stream in a folder; what was there is overwritten.

    frames.u8: codes [n, 128] of all frames. scores.jsonl: a line for each scored window. predicted.u8: predicted codes
    [25, 128] of each of these windows, rounded. meta.json: where frames do not continue those before.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._meta = folder / "meta.json"
        self._frames = (folder / "frames.u8").open("wb")
        self._predicted = (folder / "predicted.u8").open("wb")
        self._scores = (folder / "scores.jsonl").open("w", encoding="utf-8")
        self._runs: list[Run] = []

    def write(self, batch: FrameBatch) -> None:
        """Append a batch."""
        if not self._runs or self._runs[-1] != batch.run:
            self._runs.append(batch.run)
            self._write_meta()
        self._frames.write(batch.codes.tobytes())
        if batch.windows is not None:
            self._write_windows(batch.run, batch.windows)
        for file in (self._frames, self._predicted, self._scores):
            file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in (self._frames, self._predicted, self._scores):
            file.close()

    def _write_windows(self, run: Run, windows: ScoredWindows) -> None:
        self._predicted.write(windows.predicted.round().clip(0, 255).astype(np.uint8).tobytes())
        for row, first_frame in enumerate(windows.first_frames.tolist()):
            line = {
                "first_frame": first_frame,
                "stream_s": run.sample_of(first_frame) / run.sample_rate_hz,
                "error_db": _number(windows.error_db[row]),
                "score": windows.score,
                "value": _number(windows.values[row]),
                "threshold": windows.threshold,
                "anomalous": bool(windows.anomalous[row]),
                "scores": {name: _number(values[row]) for name, values in windows.scores.items()},
                "model": windows.model,
                "serial": windows.serial,
                "rung": windows.rung,
            }
            self._scores.write(json.dumps(line) + "\n")

    def _write_meta(self) -> None:
        runs = [
            {
                "first_frame": run.first_frame,
                "first_sample": run.first_sample,
                "stream_s": run.first_sample / run.sample_rate_hz,
            }
            for run in self._runs
        ]
        meta = {
            "sample_rate_hz": self._runs[-1].sample_rate_hz,
            "frame_s": FRAME_SECONDS,
            "reference_db": DEFAULT_REFERENCE_DB,
            "runs": runs,
        }
        self._meta.write_text(json.dumps(meta, indent=1), encoding="utf-8")


def _number(value: np.float32) -> float | None:
    """Return a value as JSON can hold it."""
    return float(value) if math.isfinite(value) else None
