"""The slice of a sampled stream that a band covers, at exactly the band's width as sample rate."""

from fractions import Fraction
from typing import Final

import numpy as np
import scipy.fft
import scipy.signal
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError

TAPS: Final = scipy.signal.firwin(1003, 0.495, window=("kaiser", scipy.signal.kaiser_beta(80.0)))
"""The anti-alias filter, [1003] at twice the output rate: flat to 0.49 of the width, 80 dB down from 0.50 on.

Its edge takes 1.3 of the 128 bins of a frame at either end of the band.
"""
_LARGEST_FACTOR: Final = 2048
_MARGINS_A_BLOCK: Final = 16  # one part in eight of the work is thrown away as overlap; more would only add delay


class Resampler:
    """Filter and resample a stream, any split of which gives the same output.

    The finite impulse response filter is applied by overlap-save in the frequency domain, where changing the rate by
    up/down means taking another number of bins back (Oppenheim and Schafer, Discrete-Time Signal Processing, 8.7.3).
    Blocks lie at fixed places of the stream, so borders between pushes cannot be seen; what does not fill a block, of
    4000 output samples or some more, waits. The output sample m is the filtered input at the time m / width; before
    the stream there was silence.

    The output is not mixed: the slice around `offset_hz` keeps its frequencies, modulo the width. What the slice needs
    beyond the sampled spectrum is filled with what lies there in the periodic spectrum: the opposite edge.
    """

    def __init__(self, sample_rate_hz: float, width_hz: float, offset_hz: float) -> None:
        ratio = Fraction(width_hz) / Fraction(sample_rate_hz)
        up, down = ratio.numerator, ratio.denominator
        if max(up, down) > _LARGEST_FACTOR:
            raise InvalidArgumentError(
                f"{sample_rate_hz:.10g} samples a second cannot be brought to {width_hz:.10g}: choose a sample rate "
                f"that stands to the band's width as two whole numbers up to {_LARGEST_FACTOR}"
            )
        margin = -(-(TAPS.size // 2) // (2 * up))
        total = scipy.fft.next_fast_len(_MARGINS_A_BLOCK * margin)
        self._block, self._hop, self._silence = total * down, (total - 2 * margin) * down, margin * down
        self._kept = slice(margin * up, (total - margin) * up)
        self._bins, self._response = _passed_bins(self._block, total * up, offset_hz / width_hz)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: what is pushed next is the start of another one."""
        self._waiting: NDArray[np.complex64] = np.zeros(self._silence, dtype=np.complex64)

    def push(self, iq: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """Take complex64 [n] at the input rate, give the complex64 [m] at the output rate that are complete."""
        stream = np.concatenate((self._waiting, iq), dtype=np.complex64)
        blocks = max(0, (stream.size - self._block) // self._hop + 1)
        self._waiting = stream[blocks * self._hop :].copy()
        item = stream.itemsize
        overlapping = as_strided(stream, (blocks, self._block), (self._hop * item, item), writeable=False)
        spectrum = np.take(scipy.fft.fft(overlapping, axis=1), self._bins, axis=1)
        spectrum *= self._response
        output: NDArray[np.complex64] = scipy.fft.ifft(spectrum, axis=1, overwrite_x=True)
        return output[:, self._kept].reshape(-1)


def _passed_bins(block: int, output: int, offset: float) -> tuple[NDArray[np.intp], NDArray[np.complex64]]:
    """Return which of a block's bins make each output bin, [output], and the filter there, complex64 [output].

    Bins are as far apart before and after resampling; `offset` is a part of the output rate.
    """
    times = np.arange(TAPS.size) - TAPS.size // 2
    shifted = np.zeros(2 * output, dtype=np.complex128)
    shifted[times] = TAPS * np.exp(1j * np.pi * offset * times)
    lowest = round((offset - 0.5) * output)
    bins = lowest + (np.arange(output) - lowest) % output
    response = np.fft.fft(shifted)[bins % (2 * output)] * (output / block)
    return bins % block, response.astype(np.complex64)
