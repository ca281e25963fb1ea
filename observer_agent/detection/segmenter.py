"""Frames to segments: contiguous, of one cell, scored by one model, at most 4 s."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import WINDOW_FRAMES
from observer_agent.detection.pipeline import FrameBatch
from observer_agent.receivers.clock import SampleClock

LONGEST_FRAMES: Final = 15_625
"""Four seconds: a segment is then 2 MB."""


@dataclass(frozen=True)
class CutSegment:
    """A segment that is complete: codes uint8 [n, 128], and which of its windows were anomalous, bool [m], in order."""

    codes: NDArray[np.uint8]
    start_at: datetime
    clipped_share: float
    serial: int
    anomalous: NDArray[np.bool_]
    self_test: str = ""
    has_turn: bool = False
    """Whether an event began or ended inside it."""


@dataclass
class _Open:
    first_sample: float
    serial: int
    self_test: str = ""
    has_turn: bool = False
    frames: int = 0
    clipped_frames: float = 0.0
    codes: list[NDArray[np.uint8]] = field(default_factory=list)
    anomalous: list[NDArray[np.bool_]] = field(default_factory=list)


class Segmenter:
    """Collects frames. A window belongs to the segment that holds its last frame.

    A segment gets its moment when it is complete: then none of it lies in the future, however fast it was played.
    """

    def __init__(self, clock: SampleClock) -> None:
        self._clock = clock
        self._open: _Open | None = None

    def push(self, batch: FrameBatch, *, has_turn: bool = False) -> list[CutSegment]:
        """Take frames and return the segments that they completed.

        Another model begins another segment, and so does a self-test or its end. `has_turn` tells that an event began
        or ended in these frames.
        """
        begun = self._open
        changed = begun is not None and (begun.serial, begun.self_test) != (batch.serial, batch.self_test)
        cut = self.close() if changed else []
        taken = 0
        while taken < len(batch.codes):
            if self._open is None:
                first_sample = batch.run.sample_of(batch.first_frame + taken)
                self._open = _Open(first_sample, batch.serial, batch.self_test)
            self._open.has_turn |= has_turn
            stop = min(len(batch.codes), taken + LONGEST_FRAMES - self._open.frames)
            _append(self._open, batch, taken, stop)
            taken = stop
            if self._open.frames == LONGEST_FRAMES:
                cut += self.close()
        return cut

    def close(self) -> list[CutSegment]:
        """Return what was begun, unless it is shorter than a window."""
        begun, self._open = self._open, None
        if begun is None or begun.frames < WINDOW_FRAMES:
            return []
        return [
            CutSegment(
                codes=np.concatenate(begun.codes),
                start_at=self._clock.moment_of(begun.first_sample),
                clipped_share=min(1.0, begun.clipped_frames / begun.frames),
                serial=begun.serial,
                anomalous=np.concatenate([np.empty(0, dtype=np.bool_), *begun.anomalous]),
                self_test=begun.self_test,
                has_turn=begun.has_turn,
            )
        ]


def _append(segment: _Open, batch: FrameBatch, start: int, stop: int) -> None:
    segment.codes.append(batch.codes[start:stop])
    segment.frames += stop - start
    segment.clipped_frames += batch.clipped_share * (stop - start)
    if batch.windows is not None:
        last = batch.windows.first_frames + WINDOW_FRAMES - 1 - batch.first_frame
        segment.anomalous.append(batch.windows.anomalous[(last >= start) & (last < stop)])
