"""Waterfalls as small PNG images: time to the right, frequency upwards."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_SECONDS, INPUT_FRAMES, TARGET_FRAMES
from operator_console.demo.figures import Inspected

SHOWN_BEFORE_S = 0.06
SHOWN_S = 0.2
_LEVELS = (
    ((8, 10, 34), 0.0),
    ((62, 28, 110), 0.3),
    ((190, 60, 90), 0.6),
    ((247, 160, 60), 0.82),
    ((252, 250, 200), 1.0),
)
_ERRORS = (((12, 16, 22), 0.0), ((26, 92, 120), 0.35), ((120, 200, 150), 0.65), ((255, 245, 150), 1.0))
_LARGEST_ERROR_DB = 15.0


@dataclass(frozen=True)
class Box:
    """A stretch of time, as shares of the image's width."""

    left: float
    width: float


@dataclass(frozen=True)
class Waterfall:
    """Measured and predicted levels and their difference around an anomaly, as data URLs of PNG images."""

    measured: str
    predicted: str
    error: str
    flagged: tuple[Box, ...]
    bursts: tuple[Box, ...]
    start_s: float
    length_s: float


def waterfall(inspected: Inspected, bursts: Sequence[Anomaly]) -> Waterfall | None:
    """Return the waterfall around the first bursts of an anomaly; nothing where no window was scored there."""
    start_s = max(0.0, bursts[0].start_s - SHOWN_BEFORE_S)
    rows = np.flatnonzero((inspected.stream_s >= start_s) & (inspected.stream_s < start_s + SHOWN_S))
    if not len(rows):
        return None
    first = int(inspected.first_frames[rows[0]]) + INPUT_FRAMES
    last = int(inspected.first_frames[rows[-1]]) + INPUT_FRAMES + TARGET_FRAMES
    measured = inspected.frames[first:last].astype(np.float32)
    predicted = measured.copy()
    for row in rows:
        at = int(inspected.first_frames[row]) + INPUT_FRAMES - first
        predicted[at : at + TARGET_FRAMES] = inspected.predicted[row]
    low, high = np.percentile(measured, [1, 99.7])
    shown_s = float(inspected.stream_s[rows[0]]) + INPUT_FRAMES * FRAME_SECONDS
    length_s = (last - first) * FRAME_SECONDS
    flagged = [int(inspected.first_frames[row]) + INPUT_FRAMES - first for row in rows if inspected.anomalous[row]]
    shares = [((burst.start_s - shown_s) / length_s, (burst.stop_s - shown_s) / length_s) for burst in bursts]
    return Waterfall(
        measured=_image((measured - low) / (high - low), _LEVELS),
        predicted=_image((predicted - low) / (high - low), _LEVELS),
        error=_image(np.abs(measured - predicted) * CODE_STEP_DB / _LARGEST_ERROR_DB, _ERRORS),
        flagged=tuple(Box(at / (last - first), TARGET_FRAMES / (last - first)) for at in flagged),
        bursts=tuple(Box(left, right - left) for left, right in shares if left >= 0 and right <= 1),
        start_s=shown_s,
        length_s=length_s,
    )


def _image(shares: NDArray[np.float32], colours: tuple[tuple[tuple[int, int, int], float], ...]) -> str:
    """Return values [time, frequency] between 0 and 1 as a PNG with the highest frequency on top."""
    levels = (np.clip(shares, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(levels.T[::-1]))
    stops = [stop for _, stop in colours]
    palette = [
        round(float(np.interp(level / 255, stops, [colour[channel] for colour, _ in colours])))
        for level in range(256)
        for channel in range(3)
    ]
    image.putpalette(palette)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
