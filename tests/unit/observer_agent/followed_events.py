"""Streams of frames with an anomaly in them, judged by a simple predictor, for the tests of events."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, INPUT_FRAMES, TARGET_FRAMES, WINDOW_FRAMES, Band
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, FrameMaker, encode_frames
from bandwatch.spectrogram.windows import cut_windows
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.events import EventRules, EventTracker, Sighting
from observer_agent.detection.pipeline import FrameBatch, Run

STRIDE = 25
_BLOCK_FRAMES = 390


def scored(
    codes: NDArray[np.uint8], first_frames: NDArray[np.int64], flags: NDArray[np.bool_], model: str = "models/m1"
) -> ScoredWindows:
    """Return windows uint8 [n, 125, 128] with those flags, predicted to stay at the mean level of each bin."""
    mean = codes[:, :INPUT_FRAMES].mean(axis=1, dtype=np.float32)
    values = np.where(flags, 5.0, 1.0).astype(np.float32)
    return ScoredWindows(
        model=model,
        serial=1,
        first_frames=first_frames,
        error_db=values,
        score="error",
        scores={"error": values},
        threshold=2.0,
        false_alarm_rate=0.01,
        anomalous=flags,
        predicted=np.repeat(mean[:, np.newaxis], TARGET_FRAMES, axis=1),
    )


def batches_of(
    codes: NDArray[np.uint8], flags: NDArray[np.bool_], ends: list[int], run: Run | None = None
) -> Iterator[FrameBatch]:
    """Cut frames [n, 128] after those numbers of frames; window k begins with frame 25 k and has the flag k."""
    starts = np.arange(len(flags)) * STRIDE
    for first, stop in zip([0, *ends], [*ends, len(codes)], strict=True):
        done = (starts + WINDOW_FRAMES > first) & (starts + WINDOW_FRAMES <= stop)
        windows = None
        if done.any():
            frames = np.stack([codes[start : start + WINDOW_FRAMES] for start in starts[done]])
            windows = scored(frames, starts[done].astype(np.int64), flags[done])
        yield FrameBatch(codes[first:stop], first, run or Run(0, 0, 5e6), 0.0, 1, windows)


def follow(codes: NDArray[np.uint8], flags: NDArray[np.bool_], ends: list[int] | None = None) -> list[Sighting]:
    """Return what a tracker says of frames, and of their end."""
    tracker = EventTracker(EventRules())
    whole = list(range(_BLOCK_FRAMES, len(codes), _BLOCK_FRAMES)) if ends is None else ends
    news = [sighting for batch in batches_of(codes, flags, whole) for sighting in tracker.push(batch)]
    return news + tracker.close()


@dataclass(frozen=True)
class Drill:
    """Samples of a cell, and an anomaly in them from `start_s` on to their end."""

    iq: NDArray[np.complex64]
    sample_rate_hz: float
    start_s: float
    band: Band

    def shape_of(self, kind: str, ratio_db: float, offset_hz: float) -> Sighting:
        """Return how an anomaly is seen in the end, when every window with some of it is flagged."""
        stop_s = len(self.iq) / self.sample_rate_hz
        anomaly = Anomaly(kind, self.start_s, stop_s, ratio_db, offset_hz)
        mixer = AnomalyMixer([anomaly], self.sample_rate_hz, seed=1, band_width_hz=self.band.width_hz)
        maker = FrameMaker(self.band, self.sample_rate_hz, self.band.center_hz)
        codes = encode_frames(maker.push(mixer.mix(self.iq, 0)), DEFAULT_REFERENCE_DB)
        windows = cut_windows(codes, STRIDE)
        ends_s = (np.arange(len(windows)) * STRIDE + WINDOW_FRAMES) * FRAME_SECONDS
        *_, last = follow(codes, ends_s > self.start_s + FRAME_SECONDS)
        return last

    def overlap(self, seen: Sighting, low_hz: float, high_hz: float) -> float:
        """Return the share that a box and the true one have in common, both counted from the centre of the band."""
        bin_hz = self.band.width_hz / FRAME_BINS
        low = (seen.shape.first_bin - FRAME_BINS / 2 - 0.5) * bin_hz
        high = (seen.shape.last_bin - FRAME_BINS / 2 + 0.5) * bin_hz
        common = min(high, high_hz) - max(low, low_hz)
        return max(0.0, common) / (max(high, high_hz) - min(low, low_hz))
