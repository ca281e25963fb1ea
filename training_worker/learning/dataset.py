"""Windows of many segments, gathered when they are needed and split into blocks of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from bandwatch.errors import FailedPreconditionError
from bandwatch.spectrogram.bands import FRAME_SECONDS, WINDOW_FRAMES

FOLDS: Final = 5
"""Parts that blocks of time are dealt to; each part can be left out of a fit."""

Codes = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class WindowSet:
    """The windows of a list of segments, by number; places are kept, and no window is copied before it is asked for.

    Every segment is cut into `FOLDS` equal blocks of time (one that is too short for that is one block), and the
    blocks are dealt to the folds in turn, so that every fold hears every observer. A window that crosses from one
    block to the next touches the folds of both.
    """

    segments: tuple[Codes, ...]
    """uint8 [frames, 128] each."""
    segment: Indices
    """[n] number of the segment that holds the window."""
    start: Indices
    """[n] its first frame in that segment."""
    first_fold: Indices
    """[n] fold of its first frame."""
    last_fold: Indices
    """[n] fold of its last frame."""

    @classmethod
    def cut(cls, segments: Sequence[Codes], stride_frames: int, seed: int) -> Self:
        """Return every window that starts at a multiple of `stride_frames` in its segment, uint8 [frames, 128] each.

        Raises:
            FailedPreconditionError: There is too little data to leave each fold out in turn.
        """
        shift = int(np.random.default_rng(seed).integers(FOLDS))
        starts = [np.arange(0, len(codes) - WINDOW_FRAMES + 1, stride_frames, dtype=np.intp) for codes in segments]
        places = [
            (np.full_like(start, number), start, *_folds_touched(start, len(codes), number + shift))
            for number, (codes, start) in enumerate(zip(segments, starts, strict=True))
        ]
        empty = np.empty(0, dtype=np.intp)
        windows = cls(tuple(segments), *(np.concatenate([empty, *column]) for column in zip(*places, strict=True)))
        windows._refuse_too_little(stride_frames)
        return windows

    def __len__(self) -> int:
        return len(self.start)

    def gather(self, indices: Indices) -> Codes:
        """Return uint8 [n, 125, 128]: copies of the windows with those numbers."""
        places = zip(self.segment[indices].tolist(), self.start[indices].tolist(), strict=True)
        return np.stack([self.segments[segment][start : start + WINDOW_FRAMES] for segment, start in places])

    def held_out(self, fold: int) -> Indices:
        """Return the windows that lie wholly in blocks of that fold."""
        return np.flatnonzero((self.first_fold == fold) & (self.last_fold == fold))

    def fitted(self, fold: int) -> Indices:
        """Return the windows that share no frame with any block of that fold."""
        return np.flatnonzero((self.first_fold != fold) & (self.last_fold != fold))

    def _refuse_too_little(self, stride_frames: int) -> None:
        if all(len(self.held_out(fold)) for fold in range(FOLDS)):
            return
        needed_s = FOLDS * (WINDOW_FRAMES + stride_frames) * FRAME_SECONDS
        longest_s = max((len(codes) for codes in self.segments), default=0) * FRAME_SECONDS
        raise FailedPreconditionError(
            f"training needs at least {needed_s:.2f} s of frames without a gap when windows start every "
            f"{stride_frames} frames, and the longest of {len(self.segments)} segments holds {longest_s:.2f} s: "
            "collect more data, or choose a smaller stride"
        )


def batches(indices: Indices, size: int) -> Iterator[Indices]:
    """Yield the indices in order, `size` at a time."""
    for begin in range(0, len(indices), size):
        yield indices[begin : begin + size]


def _folds_touched(start: Indices, frames: int, deal: int) -> tuple[Indices, Indices]:
    """Return the folds of the first and of the last frame of windows in a segment of that many frames.

    Blocks are no shorter than a window, so a window touches two of them at most.
    """
    blocks = FOLDS if frames >= FOLDS * WINDOW_FRAMES else 1
    first_block = start * blocks // max(frames, 1)
    last_block = (start + WINDOW_FRAMES - 1) * blocks // max(frames, 1)
    return (first_block + deal) % FOLDS, (last_block + deal) % FOLDS
