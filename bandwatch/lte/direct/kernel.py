"""How OFDM symbols enter frames: which symbols a frame sees, and over which bins they spread.

A segment of a frame that lies within one symbol sees each subcarrier as a tone, which spreads over the bins as the
spectrum of the Hann window does. A segment that holds the border of two symbols sees two broken tones, which spread
further. What a frame sees of a symbol is, to within a few parts in a hundred, a sum of a whole and a cut tone.

Source: Welch, "The use of fast Fourier transform for the estimation of power spectra", 1967.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from bandwatch.lte.direct.geometry import PERIOD_SYMBOLS, CutFrame, FrameGeometry
from bandwatch.lte.direct.spread import symbol_spread
from bandwatch.lte.numerology import SUBCARRIER_HZ, SUBFRAME_SYMBOLS
from bandwatch.spectrogram.bands import FRAME_BINS

_POINTS: Final = 16  # of a spectrum for each bin
_SYMBOL_S: Final = 1e-3 / SUBFRAME_SYMBOLS


@dataclass(frozen=True)
class Tone:
    """The spectrum of a tone of power 1.

    Attributes:
        power: float32 [points], what it gives to a bin at its own frequency and upwards, 16 points a bin; it repeats.
    """

    power: NDArray[np.float32]

    def at(self, bins: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return what it gives to bins so many bins above it, float32 of the same shape."""
        place = bins * _POINTS
        low = np.floor(place).astype(np.int64)
        share = (place - low).astype(np.float32)
        size = len(self.power)
        power: NDArray[np.float32] = (1 - share) * self.power[low % size] + share * self.power[(low + 1) % size]
        return power


@dataclass(frozen=True)
class FrameKernel:
    """What makes 125 frames of the power of the 448 symbols of 32 ms.

    Attributes:
        whole: float32 [125, 448], the weight of each symbol in each frame as far as its tones are whole.
        cut: float32 [125, 448], the same as far as they are cut.
        spread: float32 [125, 448], the variance in a bin of each frame, as a multiple of the square of what each symbol
            gives to that bin by whole tones.
        whole_tone: The spectrum of a whole tone.
        cut_tone: The spectrum of a cut tone.
        cut_spread: Relative variance of what cut tones give to a bin.
        neighbours: Correlation of the fluctuation of a bin with the next, and with the one after that.
    """

    whole: NDArray[np.float32]
    cut: NDArray[np.float32]
    spread: NDArray[np.float32]
    whole_tone: Tone
    cut_tone: Tone
    cut_spread: float
    neighbours: tuple[float, float]


def frame_kernel(width_hz: float, *, is_filtered: bool, magnitude_variance: float) -> FrameKernel:
    """Return the kernel of a band.

    Args:
        width_hz: Width of the band.
        is_filtered: Whether samples came at another rate than the width and were filtered. If not, what spreads beyond
            an edge of the band comes in at the other.
        magnitude_variance: Relative variance of the power of a resource element: 0 for QPSK, 1 for Gaussian ones.
    """
    geometry = FrameGeometry(width_hz)
    frames = geometry.cut_frames(oversampling=2 if is_filtered else 1)
    kinds, places = _seen(frames)
    whole_tone, cut_tone, weights = _whole_and_cut(kinds)
    whole, cut = (_laid_out(places, weights[:, kind]) for kind in range(2))
    gain, cut_gain = (_gain_of_full_band(tone, width_hz) for tone in (whole_tone, cut_tone))
    spreads = [
        symbol_spread(frame, width_hz, FRAME_BINS // 2 + number % 13, magnitude_variance)
        for number, frame in enumerate(frames)
    ]
    variance = _laid_out(places, np.concatenate([of_symbols for of_symbols, _ in spreads]))
    cut_spread = _SYMBOL_S / geometry.seen_s  # each border that a frame sees gives one exponential variable
    by_cut = cut_spread * (cut_gain * cut.sum(axis=1)) ** 2
    rest = np.maximum(1 - by_cut / variance.sum(axis=1), 0)
    covariances = np.sum([of_bins for _, of_bins in spreads], axis=0)
    correlations = covariances / covariances[0]
    return FrameKernel(
        whole=whole,
        cut=cut,
        spread=(variance * rest[:, np.newaxis] / gain**2).astype(np.float32),
        whole_tone=whole_tone,
        cut_tone=cut_tone,
        cut_spread=cut_spread,
        neighbours=(float(correlations[1]), float(correlations[2])),
    )


def _seen(frames: Sequence[CutFrame]) -> tuple[NDArray[np.float64], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return what each frame sees of a tone in each of its symbols, [pairs, points], and which pairs these are."""
    spectra = [
        (np.abs(scipy.fft.fft(frame.windows, _POINTS * frame.windows.shape[2], axis=2)) ** 2).mean(axis=0)
        for frame in frames
    ]
    rows = np.repeat(np.arange(len(frames)), [len(of_frame) for of_frame in spectra])
    columns = [frame.first_symbol + np.arange(len(seen)) for frame, seen in zip(frames, spectra, strict=True)]
    return np.concatenate(spectra), (rows, np.concatenate(columns))


def _whole_and_cut(spectra: NDArray[np.float64]) -> tuple[Tone, Tone, NDArray[np.float64]]:
    """Split spectra [pairs, points] into whole and cut tones, and return these and their weights [pairs, 2]."""
    length = spectra.shape[1] // _POINTS
    hann = (1 - np.cos(2 * np.pi * np.arange(length) / length)) / length
    whole = np.abs(scipy.fft.fft(hann, spectra.shape[1])) ** 2
    mean = spectra.mean(axis=0)
    cut = mean / mean[0] - whole
    # Far from a tone's own frequency little of it is left, but little is what counts there: beside noise alone.
    balance = 1 / np.sqrt(mean)
    weights, *_ = np.linalg.lstsq((np.stack([whole, cut]) * balance).T, (spectra * balance).T)
    return Tone(whole.astype(np.float32)), Tone(cut.astype(np.float32)), weights.T


def _laid_out(places: tuple[NDArray[np.int64], NDArray[np.int64]], values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return float32 [frames, 448] with values at their places."""
    matrix = np.zeros((places[0][-1] + 1, PERIOD_SYMBOLS), np.float32)
    matrix[places] = values
    return matrix


def _gain_of_full_band(tone: Tone, width_hz: float) -> float:
    """Return what a bin in the middle gets if every subcarrier of the band has a power of 1."""
    half = int(width_hz / 2 / SUBCARRIER_HZ)
    return float(tone.at(np.arange(-half, half + 1) * SUBCARRIER_HZ * FRAME_BINS / width_hz).sum())
