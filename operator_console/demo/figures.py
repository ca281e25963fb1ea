"""What a demo measures, from the scores that the agents themselves wrote."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, INPUT_FRAMES, TARGET_FRAMES, WINDOW_FRAMES
from bandwatch.spectrogram.scoring import STANDING_WINDOWS

WINDOW_S = WINDOW_FRAMES * FRAME_SECONDS
INPUT_S = INPUT_FRAMES * FRAME_SECONDS
LOOK_BACK_S = (STANDING_WINDOWS - 1) * TARGET_FRAMES * FRAME_SECONDS
"""Scores of what stands sum up so much before a window, at the stride that agents have unless told otherwise."""
GUARD_S = 0.002
"""Filters of receivers and anomalies smear their edges by less than this."""


@dataclass(frozen=True)
class Share:
    """How many of so many windows were flagged."""

    flagged: int
    windows: int

    @property
    def rate(self) -> float:
        """The share, from 0 to 1; NaN where there were no windows."""
        return self.flagged / self.windows if self.windows else float("nan")


@dataclass(frozen=True)
class Inspected:
    """What one agent wrote of its stream: frames uint8 [n, 128], and of each scored window its place and error.

    `score` and `threshold` are those that flagged the last window.
    """

    frames: NDArray[np.uint8]
    run_first_frames: NDArray[np.int64]
    first_frames: NDArray[np.int64]
    stream_s: NDArray[np.float64]
    error_db: NDArray[np.float64]
    score: str
    threshold: float
    anomalous: NDArray[np.bool_]
    serials: NDArray[np.int64]
    predicted: NDArray[np.uint8]


def read_inspected(folder: Path) -> Inspected:
    """Read the folder that an agent wrote with --inspect."""
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    meta = json.loads((folder / "meta.json").read_text())

    def column(key: str) -> list[float]:
        return [float("inf") if line[key] is None else line[key] for line in lines]

    return Inspected(
        frames=np.fromfile(folder / "frames.u8", np.uint8).reshape(-1, FRAME_BINS),
        run_first_frames=np.array([run["first_frame"] for run in meta["runs"]], np.int64),
        first_frames=np.array(column("first_frame"), np.int64),
        stream_s=np.array(column("stream_s"), np.float64),
        error_db=np.array(column("error_db"), np.float64),
        score=lines[-1]["score"] if lines else "",
        threshold=lines[-1]["threshold"] if lines else float("nan"),
        anomalous=np.array(column("anomalous"), np.bool_),
        serials=np.array(column("serial"), np.int64),
        predicted=np.fromfile(folder / "predicted.u8", np.uint8).reshape(-1, TARGET_FRAMES, FRAME_BINS),
    )


def clean_frames(inspected: Inspected, clean_s: float) -> NDArray[np.uint8]:
    """Return the contiguous frames at the start of the stream in which nothing was mixed in."""
    later_runs = inspected.run_first_frames[1:]
    end = min([round(clean_s / FRAME_SECONDS), len(inspected.frames), *later_runs.tolist()])
    return inspected.frames[:end]


def normal_windows(inspected: Inspected, timetable: Sequence[Anomaly]) -> NDArray[np.bool_]:
    """Tell which windows saw no anomaly in any of their frames, nor in those of windows that a score looks back on."""
    start, stop = inspected.stream_s - LOOK_BACK_S, inspected.stream_s + WINDOW_S
    normal = np.ones(len(start), np.bool_)
    for anomaly in timetable:
        normal &= (stop < anomaly.start_s - GUARD_S) | (start > anomaly.stop_s + GUARD_S)
    return normal


def anomalous_windows(inspected: Inspected, bursts: Sequence[Anomaly]) -> NDArray[np.bool_]:
    """Tell which windows were to predict frames that all lie inside one of the bursts."""
    target, stop = inspected.stream_s + INPUT_S, inspected.stream_s + WINDOW_S
    inside = np.zeros(len(target), np.bool_)
    for burst in bursts:
        inside |= (target >= burst.start_s) & (stop <= burst.stop_s)
    return inside


def share(streams: Sequence[tuple[Inspected, NDArray[np.bool_]]]) -> Share:
    """Return how many of the chosen windows of several streams were flagged."""
    flagged = sum(int(inspected.anomalous[chosen].sum()) for inspected, chosen in streams)
    return Share(flagged, sum(int(chosen.sum()) for _, chosen in streams))


@dataclass(frozen=True)
class CellFigures:
    """What the demo found out about one cell."""

    cell: str
    band: str
    teacher: str
    student: str
    serial: int
    observers: int
    training_s: float
    teacher_error_db: float
    student_error_db: float
    evaluated_windows: int
    order_to_active_s: float
    score: str
    threshold: float
    stated_false_alarm_rate: float
    false_alarms: Share
    detection: dict[str, Share]
    anomalies_reported: int
    remark: str = ""
    """Why the student was not released by itself, if it was not."""

    @property
    def gained_db(self) -> float:
        """By how much the student's error lies below the unadapted teacher's."""
        return self.teacher_error_db - self.student_error_db
