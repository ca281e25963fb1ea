"""Whether frames are fit to learn from: clipping at the converter, and noise without a signal."""

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES
from bandwatch.spectrogram.samples import RawSamples, component_values

_CENTER: Final = FRAME_BINS // 2
_JUDGED_BINS: Final = np.r_[2 : _CENTER - 3, _CENTER + 4 : FRAME_BINS - 1]
"""All bins but the receiver's own: its direct-current spike, and the slopes of the anti-alias filter."""
_NEIGHBOURS: Final = 7
_LARGEST_BUMP_DB: Final = 2.0
_LARGEST_TOGETHERNESS: Final = 6.0


def clipped_share(raw: RawSamples, datatype: str) -> float:
    """Return the share of n complex samples whose I or Q is at a limit of the converter; 0 when there are none.

    The limits are the two outermost codes (0 and 255 for cu8, -128 and 127 for ci8), and -1.0 and 1.0 for cf32.

    Raises:
        InvalidArgumentError: The datatype cannot be read, or the bytes end inside a sample.
    """
    values = component_values(raw, datatype)
    if not values.size:
        return 0.0
    lowest, highest = (
        (-1.0, 1.0) if values.dtype.kind == "f" else (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
    )
    at_limit = (values <= lowest) | (values >= highest)
    samples = np.count_nonzero(at_limit.view(np.uint16))  # both flags of a sample in one number
    return samples / (values.size // 2)


def is_noise_only(frames_db: NDArray[np.float32]) -> bool:
    """Tell whether no signal stands out of the noise in frames [n, 128] in dB, n at least 125.

    Noise has the same mean level in all bins, but for what the receiver does to it, and its bins go up and down each
    for itself. Two statistics look at that; neither depends on the level, nor on how many spectra make a frame.

    - Flatness: the mean over time of each bin, the median of seven neighbours (which takes out a receiver's spurs),
      less the parabola that fits best (which takes out the droop of its filters); then the largest distance from
      zero. Its limit is 2 dB. White noise gave 0.4 dB in 125 frames of 1.92 MHz, the silent subframes of a cell seen by
      an rtl-sdr 1.8 dB. Signals of 200 kHz to 4.5 MHz, 3 dB over the noise in their own bins, gave 2.7 to 3.9 dB.
    - Togetherness: the variance over time of the mean over all bins, times the bins, over the mean variance of single
      bins. It would be 1 for independent bins; a Hann window correlates the power of neighbours with (2/3)^2 and of
      their neighbours with (1/6)^2 (Harris 1978), which makes it 1 + 2 (4/9 + 1/36) = 1.9 for noise, 1.3 to 2.6
      when estimated from 125 frames. Traffic lifts many bins together: real cells gave 36 to 110. Its limit is 6.

    Left out are three bins on either side of the centre, where receivers have a spike of their own, and the two
    lowest and the highest bin, on the slopes of the anti-alias filter. A steady signal of up to three bins counts as
    a spur.

    Raises:
        InvalidArgumentError: There are fewer than 125 frames.
    """
    if len(frames_db) < WINDOW_FRAMES:
        raise InvalidArgumentError(f"{len(frames_db)} frames cannot be told from noise: pass {WINDOW_FRAMES} or more")
    frames = frames_db[:, _JUDGED_BINS].astype(np.float64)
    is_flat = _largest_bump_db(frames.mean(axis=0)) <= _LARGEST_BUMP_DB
    common_variance = frames.mean(axis=1).var() * len(_JUDGED_BINS)
    return bool(is_flat and common_variance <= _LARGEST_TOGETHERNESS * frames.var(axis=0).mean())


def _largest_bump_db(bin_means_db: NDArray[np.float64]) -> float:
    """Return how far the mean levels of the judged bins, [118], leave a parabola, apart from single bins that do."""
    smooth = np.median(sliding_window_view(bin_means_db, _NEIGHBOURS), axis=1)
    places = _JUDGED_BINS[_NEIGHBOURS // 2 : -(_NEIGHBOURS // 2)].astype(np.float64)
    return float(np.abs(smooth - Polynomial.fit(places, smooth, 2)(places)).max())
