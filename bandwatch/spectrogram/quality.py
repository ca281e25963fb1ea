"""Whether frames are fit to learn from: clipping at the converter, and noise without a signal."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import FRAME_BINS, WINDOW_FRAMES
from bandwatch.spectrogram.samples import RawSamples, component_values

_CENTER: Final = FRAME_BINS // 2
_JUDGED_BINS: Final = np.r_[2 : _CENTER - 3, _CENTER + 4 : FRAME_BINS - 1]
"""All bins but the receiver's own: its direct-current spike, and the slopes of the anti-alias filter."""
_LARGEST_BUMP_DB: Final = 1.5
_LARGEST_BUMP_ERRORS: Final = 6.0
_LARGEST_COMMON_VARIANCE: Final = 6.0


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

    White noise has the same mean level in every bin, and its bins go up and down each for itself. Two statistics look at
    that; both are measured against the frame-to-frame spread s of single bins (root of the mean variance), so neither
    needs to know the level nor how many spectra were averaged into a frame.

    - Flatness: the largest distance of a bin's mean over time from the median of those means. For noise its
      standard error is s / sqrt(n), and the largest of some 118 bins stays below 4 of them, 5 where a frame is a mean of few
      spectra. The limit is 6 of them, or 1.5 dB where that is more, which leaves room for a receiver that is not
      quite flat. A signal 4 dB below the noise in its own bins lifts them by more.
    - Togetherness: the variance over time of the mean over all bins, times the bins, over s squared. It would be 1 for
      independent bins; a Hann window correlates neighbours with (2/3)^2 and their neighbours with (1/6)^2
      (Harris 1978), which makes it 1 + 2 (4/9 + 1/36) = 1.9 for noise, 1.3 to 2.6 when estimated from 125 frames. Traffic lifts
      many bins together: real cells gave 36 to 110. The limit is 6.

    Left out are three bins on either side of the centre, where receivers have a spike of their own, and the two
    lowest and the highest bin, on the slopes of the anti-alias filter. A spike elsewhere counts as a signal.

    Raises:
        InvalidArgumentError: There are fewer than 125 frames.
    """
    if len(frames_db) < WINDOW_FRAMES:
        raise InvalidArgumentError(f"{len(frames_db)} frames cannot be told from noise: pass {WINDOW_FRAMES} or more")
    frames = frames_db[:, _JUDGED_BINS].astype(np.float64)
    bin_means = frames.mean(axis=0)
    spread = np.sqrt(frames.var(axis=0).mean())
    bump = np.abs(bin_means - np.median(bin_means)).max()
    is_flat = bump <= max(_LARGEST_BUMP_DB, _LARGEST_BUMP_ERRORS * spread / np.sqrt(len(frames)))
    is_independent = frames.mean(axis=1).var() * len(bin_means) <= _LARGEST_COMMON_VARIANCE * spread**2
    return bool(is_flat and is_independent)
