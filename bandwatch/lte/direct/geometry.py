"""Where frames and their segments lie in time, and where the borders of OFDM symbols cut them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.numerology import SLOT_SYMBOLS, SUBFRAME_SYMBOLS, Numerology
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS

PERIOD_FRAMES: Final = 125
"""Frames after which a frame and a subframe begin together again: 32 ms."""
PERIOD_SUBFRAMES: Final = 32
"""Subframes of that period."""
PERIOD_SYMBOLS: Final = PERIOD_SUBFRAMES * SUBFRAME_SYMBOLS
"""OFDM symbols of that period."""

_SEGMENT_STEP: Final = FRAME_BINS // 2


@dataclass(frozen=True)
class CutFrame:
    """The Hann windows of a frame, cut at the borders of symbols.

    Attributes:
        first_symbol: Number of the first symbol that the frame sees, of the 448 of 32 ms.
        starts_s: float64 [segments], when each segment begins.
        windows: float64 [segments, symbols, samples], the part of each window within each symbol; a whole window sums
            to 1.
        rate_hz: Samples in a second.
    """

    first_symbol: int
    starts_s: NDArray[np.float64]
    windows: NDArray[np.float64]
    rate_hz: float


@dataclass(frozen=True)
class FrameGeometry:
    """The frames of a band: frame k begins at sample round(k x width x 256 us), as `FrameMaker` has it.

    Where 32 ms are no whole number of samples, later frames begin up to one sample away from there, which is less than
    a hundredth of a segment.

    Attributes:
        width_hz: Width of the band, which is the sample rate of frames.
    """

    width_hz: float

    @property
    def segments(self) -> int:
        """Segments of a frame."""
        return (int(self._frame_samples) - FRAME_BINS) // _SEGMENT_STEP + 1

    @property
    def seen_s(self) -> float:
        """Time from the beginning of a frame's first segment to the end of its last."""
        return (FRAME_BINS + (self.segments - 1) * _SEGMENT_STEP) / self.width_hz

    def starts_s(self) -> NDArray[np.float64]:
        """Return when each of the 125 frames begins, float64 [125]."""
        starts: NDArray[np.float64] = np.rint(np.arange(PERIOD_FRAMES) * self._frame_samples) / self.width_hz
        return starts

    def seen_until(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how much of a frame its segments have seen, 0 to 1, so long after it began: float64 [n]."""
        window = np.square(1 - np.cos(2 * np.pi * np.arange(FRAME_BINS) / FRAME_BINS))
        weights = np.zeros(FRAME_BINS + (self.segments - 1) * _SEGMENT_STEP)
        for segment in range(self.segments):
            weights[segment * _SEGMENT_STEP :][:FRAME_BINS] += window
        until = np.concatenate([[0], np.cumsum(weights)]) / weights.sum()
        seen: NDArray[np.float64] = np.interp(times_s * self.width_hz, np.arange(len(until)), until)
        return seen

    def cut_frames(self, oversampling: int) -> list[CutFrame]:
        """Return the 125 frames as they are cut, sampled at so many times the width."""
        rate_hz = oversampling * self.width_hz
        length = oversampling * FRAME_BINS
        hann = (1 - np.cos(2 * np.pi * np.arange(length) / length)) / length
        edges_s = symbol_edges_s() - 1e-9  # what begins with a symbol belongs to it, however numbers are rounded
        cut: list[CutFrame] = []
        for start_s in self.starts_s():
            starts_s = start_s + np.arange(self.segments) * _SEGMENT_STEP / self.width_hz
            times_s = starts_s[:, np.newaxis] + np.arange(length) / rate_hz
            symbols = np.searchsorted(edges_s, times_s, side="right") - 1
            first = int(symbols[0, 0])
            inside = symbols[:, np.newaxis] == np.arange(first, symbols[-1, -1] + 1)[:, np.newaxis]
            cut.append(CutFrame(first, starts_s, hann * inside, rate_hz))
        return cut

    @property
    def _frame_samples(self) -> float:
        return round(self.width_hz * FRAME_SECONDS, 6)


def symbol_edges_s() -> NDArray[np.float64]:
    """Return when the prefix of each symbol of 32 ms begins, and when the last symbol ends, float64 [449]."""
    numerology = Numerology(6)  # all numerologies divide time alike
    first, other = numerology.prefixes
    samples = np.full(PERIOD_SYMBOLS, numerology.fft_size + other)
    samples[::SLOT_SYMBOLS] += first - other
    return np.concatenate([[0], np.cumsum(samples)]) / numerology.sample_rate_hz
