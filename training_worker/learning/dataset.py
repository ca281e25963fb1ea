"""Windows of many segments, gathered when they are needed and split into blocks of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from bandwatch.errors import FailedPreconditionError
from bandwatch.spectrogram.bands import FRAME_SECONDS, WINDOW_FRAMES
from bandwatch.spectrogram.windows import cut_windows

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

    views: tuple[Codes, ...]
    """uint8 [m, 125, 128] for each segment: its windows, as a view of its frames."""
    segment: Indices
    """[n] number of the segment that holds the window."""
    place: Indices
    """[n] number of the window in that segment."""
    first_fold: Indices
    """[n] fold of its first frame."""
    last_fold: Indices
    """[n] fold of its last frame."""
    stride_frames: int
    """Frames between the starts of windows."""

    @classmethod
    def cut(cls, segments: Sequence[Codes], stride_frames: int, seed: int) -> Self:
        """Return every window that starts at a multiple of `stride_frames` in its segment, uint8 [frames, 128] each.

        Raises:
            InvalidArgumentError: The stride is below one frame.
            FailedPreconditionError: There is too little data to leave each fold out in turn.
        """
        views = tuple(cut_windows(codes, stride_frames) for codes in segments)
        shift = int(np.random.default_rng(seed).integers(FOLDS))
        columns = [
            _places(len(view), len(codes), stride_frames, number, shift)
            for number, (view, codes) in enumerate(zip(views, segments, strict=True))
        ]
        segment, place, first_fold, last_fold = np.concatenate([np.empty((4, 0), dtype=np.intp), *columns], axis=1)
        windows = cls(views, segment, place, first_fold, last_fold, stride_frames)
        if any(len(windows.held_out(fold)) == 0 for fold in range(FOLDS)):
            raise _too_little(segments, stride_frames)
        return windows

    def __len__(self) -> int:
        return len(self.place)

    def gather(self, indices: Indices) -> Codes:
        """Return uint8 [n, 125, 128]: copies of the windows with those numbers."""
        places = zip(self.segment[indices].tolist(), self.place[indices].tolist(), strict=True)
        return np.stack([self.views[segment][place] for segment, place in places])

    def held_out(self, fold: int) -> Indices:
        """Return the windows that lie wholly in blocks of that fold."""
        return np.flatnonzero((self.first_fold == fold) & (self.last_fold == fold))

    def fitted(self, fold: int) -> Indices:
        """Return the windows that share no frame with any block of that fold."""
        return np.flatnonzero((self.first_fold != fold) & (self.last_fold != fold))

    def in_order(self, indices: Indices) -> Indices:
        """Return the windows sorted by segment and time."""
        return indices[np.lexsort((self.place[indices], self.segment[indices]))]

    def runs(self, indices: Indices) -> Indices:
        """Return a number for each window, [n]: it stays while windows follow one another in a segment and its fold."""
        changes = [
            np.diff(self.segment[indices]) != 0,
            np.diff(self.place[indices]) != 1,
            np.diff(self.first_fold[indices]) != 0,
        ]
        return np.concatenate([np.zeros(min(1, len(indices)), np.intp), np.cumsum(np.any(changes, axis=0))])


def batches(indices: Indices, size: int) -> Iterator[Indices]:
    """Yield the indices in order, `size` at a time."""
    for begin in range(0, len(indices), size):
        yield indices[begin : begin + size]


def _places(count: int, frames: int, stride_frames: int, number: int, shift: int) -> Indices:
    """Return [4, count] for the windows of one segment: segment, place, and the folds of first and last frame.

    Blocks are no shorter than a window, so a window touches two of them at most.
    """
    place = np.arange(count, dtype=np.intp)
    blocks = FOLDS if frames >= FOLDS * WINDOW_FRAMES else 1
    first_frame = place * stride_frames
    first_block = first_frame * blocks // max(frames, 1)
    last_block = (first_frame + WINDOW_FRAMES - 1) * blocks // max(frames, 1)
    deal = number + shift
    return np.stack([np.full_like(place, number), place, (first_block + deal) % FOLDS, (last_block + deal) % FOLDS])


def _too_little(segments: Sequence[Codes], stride_frames: int) -> FailedPreconditionError:
    needed_s = FOLDS * (WINDOW_FRAMES + stride_frames) * FRAME_SECONDS
    longest_s = max((len(codes) for codes in segments), default=0) * FRAME_SECONDS
    return FailedPreconditionError(
        f"training needs {needed_s:.2f} s of frames without a gap when windows start every {stride_frames} frames, "
        f"and the longest of {len(segments)} segments holds {longest_s:.2f} s: "
        "collect more data, or choose a smaller stride"
    )
