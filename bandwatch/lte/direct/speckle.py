"""Frames drawn about their mean: Welch's estimate of a random signal fluctuates, and neighbouring bins do so together.

Drawn is a gamma variable of the right mean and variance by the cube of a normal one (Wilson and Hilferty, "The
distribution of chi-square", 1931), which is exact enough from one degree of freedom up and needs no table.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.bins import BandBins
from bandwatch.lte.direct.mean import FramePowers
from bandwatch.spectrogram.bands import FRAME_BINS

_NOISE_NEIGHBOURS: Final = (4 / 9, 1 / 36)  # squares of 2/3 and 1/6 (Harris 1978)
_SMALLEST_ROOT: Final = 0.1  # of the cube: 30 dB below the mean
_DECIBELS_PER_NEPER: Final = 10 / np.log(10)


class Speckle:
    """Draws frames.

    Args:
        bins: The bins of the band.
        seed: Where chance begins.
    """

    def __init__(self, bins: BandBins, seed: np.random.SeedSequence) -> None:
        self._rng = np.random.Generator(np.random.SFC64(seed))
        self._noise_spread = np.float32(bins.noise_spread)
        self._of_noise = _taps(_NOISE_NEIGHBOURS)
        self._of_signal = _taps(bins.kernel.neighbours)

    def draw_db(self, powers: FramePowers) -> NDArray[np.float32]:
        """Return frames in dB relative to full scale, float32 [n, 128]."""
        mean = powers.signal + powers.noise
        by_noise: NDArray[np.float32] = self._noise_spread * powers.noise * (mean + powers.signal)
        variance = by_noise + powers.variance
        noise_share: NDArray[np.float32] = by_noise / variance
        normal = self._normal(noise_share)
        relative = np.minimum(variance / mean**2, 1)
        root = 1 - relative / 9 + normal * (np.sqrt(relative) / 3)
        np.maximum(root, np.float32(_SMALLEST_ROOT), out=root)
        mean *= root * root * root
        decibels: NDArray[np.float32] = np.log(mean, out=mean)
        decibels *= np.float32(_DECIBELS_PER_NEPER)
        return decibels

    def _normal(self, noise_share: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return normal values, float32 [n, 128], of variance 1, whose neighbours correlate as noise and signals do."""
        white = self._rng.standard_normal((len(noise_share), FRAME_BINS + 4), np.float32)
        beside = white[:, 1:-3] + white[:, 3:-1]
        further = white[:, :-4] + white[:, 4:]
        (signal_beside, signal_further), (noise_beside, noise_further) = self._of_signal, self._of_noise
        by_beside = noise_share * np.float32(noise_beside - signal_beside) + np.float32(signal_beside)
        by_further = noise_share * np.float32(noise_further - signal_further) + np.float32(signal_further)
        values = white[:, 2:-2] + by_beside * beside + by_further * further
        values /= np.sqrt(1 + 2 * (by_beside**2 + by_further**2))
        return values


def _taps(correlations: tuple[float, float]) -> tuple[float, float]:
    """Return b and c of a filter c, b, 1, b, c that correlates white values like this at distances 1 and 2.

    Its correlations are 2b(1 + c) and 2c + b^2 over 1 + 2b^2 + 2c^2.
    """
    near, far = correlations
    beside, further = 0.0, 0.0
    for _ in range(50):  # it converges by more than half each time
        power = 1 + 2 * beside**2 + 2 * further**2
        beside, further = near * power / (2 * (1 + further)), (far * power - beside**2) / 2
    return beside, further
