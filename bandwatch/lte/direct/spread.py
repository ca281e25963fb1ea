"""How much a bin of a frame fluctuates about its mean when resource elements carry random symbols.

The power that a frame shows in a bin is a quadratic form of the symbols, sum over i and j of s_i s_j* q_ij. If symbols
are independent and of one magnitude, its variance is the sum of |q_ij|^2 over all i other than j. For Gaussian ones,
the terms with i = j come on top. OFDM fluctuates less than noise because its subcarriers are orthogonal: over a whole
symbol, q_ij of different subcarriers cancels.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.direct.geometry import CutFrame
from bandwatch.lte.numerology import SUBCARRIER_HZ
from bandwatch.spectrogram.bands import FRAME_BINS

BINS_APART: Final = 3
"""Covariances are given of a bin with itself, with its neighbour and with the next."""

_NEAR: Final = np.arange(-8, 9) * float(SUBCARRIER_HZ)  # subcarriers further away hardly matter
_HANN_CORRELATION: Final = 1 / 6  # of the spectra of segments that overlap by half (Welch 1967)


def noise_spread(segments: int) -> float:
    """Return the relative variance of a frame of white noise (Welch 1967)."""
    return (1 + 2 * (segments - 1) / segments * _HANN_CORRELATION**2) / segments


def symbol_spread(
    frame: CutFrame, width_hz: float, bin_number: int, magnitude_variance: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much each symbol of a frame makes a bin fluctuate, where all subcarriers carry a power of 1.

    Args:
        frame: The frame, cut at the borders of symbols.
        width_hz: Width of the band.
        bin_number: The bin; only its place between subcarriers counts.
        magnitude_variance: Relative variance of the power of a resource element: 0 for QPSK, 1 for Gaussian ones.

    Returns:
        The part of each symbol in the variance, float64 [symbols], and the covariance of the bin with itself and with
        the next two, float64 [3].
    """
    bin_hz = width_hz / FRAME_BINS
    at_hz = (bin_number - FRAME_BINS // 2) * bin_hz
    near_hz = np.round(at_hz / SUBCARRIER_HZ) * SUBCARRIER_HZ + _NEAR - at_hz
    forms = [_form(frame, near_hz - step * bin_hz) for step in range(BINS_APART)]
    counted = np.ones_like(forms[0], np.float64)
    np.fill_diagonal(counted, magnitude_variance)
    covariances = np.array([(forms[0] * form.conj() * counted).sum().real for form in forms])
    symbols = frame.windows.shape[1]
    squares = (np.abs(forms[0]) ** 2 * counted).reshape(symbols, -1)
    return squares.sum(axis=1), covariances


def _form(frame: CutFrame, tones_hz: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Return the matrix q of the form, for tones so far from a bin: complex128 [elements, elements]."""
    samples = np.arange(frame.windows.shape[2])
    within = np.exp(2j * np.pi * np.outer(samples, tones_hz) / frame.rate_hz)
    turns = np.exp(2j * np.pi * np.outer(frame.starts_s - frame.starts_s[0], tones_hz))
    amplitudes = (frame.windows @ within) * turns[:, np.newaxis]
    flat = amplitudes.reshape(len(amplitudes), -1)
    form: NDArray[np.complex128] = flat.T @ flat.conj() / len(flat)
    return form
