"""What tones read in the 128 bins of a band, as frames show them."""

from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.geometry import FrameGeometry
from bandwatch.lte.direct.kernel import FrameKernel, frame_kernel
from bandwatch.lte.direct.spread import noise_spread
from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.spectrogram.resampling import TAPS

FULL_SPECTRUM: Final = 1.5
"""What all bins read together of a power of 1: the noise bandwidth of the Hann window, in bins."""

_TONES_PER_BIN: Final = 16  # that stand for a density


class BandBins:
    """The bins of a band, for samples that come at some rate.

    Attributes:
        width_hz: Width of the band.
        sample_rate_hz: Rate of the samples; they are filtered unless it is the width.
        geometry: Where frames lie in time.
        kernel: How symbols enter frames.
        noise_spread: Relative variance of frames of noise.
        centers_hz: float64 [128], the middle of each bin, relative to the middle of the band.
    """

    def __init__(self, width_hz: float, sample_rate_hz: float, magnitude_variance: float) -> None:
        self.width_hz = width_hz
        self.sample_rate_hz = sample_rate_hz
        self._is_filtered = sample_rate_hz != width_hz
        self.geometry = FrameGeometry(width_hz)
        self.noise_spread = noise_spread(self.geometry.segments)
        self.kernel: FrameKernel = frame_kernel(
            width_hz, is_filtered=self._is_filtered, magnitude_variance=magnitude_variance
        )
        self.centers_hz = (np.arange(FRAME_BINS, dtype=np.float64) - FRAME_BINS // 2) * (width_hz / FRAME_BINS)

    def tones(self, frequencies_hz: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what tones of power 1 read, float32 [n, 128] twice: as whole tones, and as cut ones.

        Args:
            frequencies_hz: float64 [n], relative to the middle of the band.
        """
        above = (self.centers_hz - frequencies_hz[:, np.newaxis]) * (FRAME_BINS / self.width_hz)
        whole, cut = self.kernel.whole_tone.at(above), self.kernel.cut_tone.at(above)
        if self._is_filtered:
            whole *= self._passed(frequencies_hz)[:, np.newaxis]
            cut *= np.where(np.abs(above) < FRAME_BINS, self.noise, 0)  # the spectrum repeats beyond
            cut[:, 0] = (cut[:, 0] + self.kernel.cut_tone.at(above[:, 0] + FRAME_BINS) * self.noise[0]) / 2
        return whole, cut

    @cached_property
    def fine_hz(self) -> NDArray[np.float64]:
        """Frequencies of tones that stand for a density, float64 [2048], from edge to edge of the band."""
        places = (np.arange(FRAME_BINS * _TONES_PER_BIN) + 0.5) / _TONES_PER_BIN
        return (places - FRAME_BINS / 2) * (self.width_hz / FRAME_BINS)

    @cached_property
    def noise(self) -> NDArray[np.float32]:
        """What white noise reads beside noise that passes no filter, float32 [128]."""
        whole = self.kernel.whole_tone.at(
            (self.centers_hz - self.fine_hz[:, np.newaxis]) * (FRAME_BINS / self.width_hz)
        )
        passed = self._passed(self.fine_hz) if self._is_filtered else np.ones(len(self.fine_hz), np.float32)
        noise: NDArray[np.float32] = passed @ whole / whole.sum(axis=0)
        return noise

    def _passed(self, frequencies_hz: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the power that the filter passes at frequencies, float32 [n]."""
        times = np.arange(TAPS.size) - TAPS.size // 2  # at twice the width
        gain = np.cos(np.pi * np.outer(frequencies_hz / self.width_hz, times)) @ TAPS
        passed: NDArray[np.float32] = np.where(np.abs(frequencies_hz) < self.width_hz, gain**2, 0).astype(np.float32)
        return passed


@lru_cache(maxsize=16)
def band_bins(width_hz: float, sample_rate_hz: float, magnitude_variance: float) -> BandBins:
    """Return the bins of a band, made once for all who ask.

    Args:
        width_hz: Width of the band.
        sample_rate_hz: Rate of the samples that frames would be made of.
        magnitude_variance: Relative variance of the power of a random resource element: 0 for QPSK, 1 for Gaussian
            ones.
    """
    return BandBins(width_hz, sample_rate_hz, magnitude_variance)
