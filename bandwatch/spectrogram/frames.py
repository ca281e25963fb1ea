"""IQ samples to frames, and frames to half-dB codes and back."""

from typing import Final

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS, FRAME_SECONDS, Band
from bandwatch.spectrogram.resampling import Resampler

DEFAULT_REFERENCE_DB: Final = -120.0
"""Level of code 0; the codes then reach from -120 to 7.5 dB relative to full scale."""
FLOOR_DB: Final = -200.0
"""What digital silence reads."""
_LARGEST_GAP: Final = 0.1
_SEGMENT_STEP: Final = FRAME_BINS // 2
_BATCH_FRAMES: Final = 32  # the segments of this many frames stay in a core's own cache


class FrameMaker:
    """Turn a stream of IQ into frames of the band, wherever the receiver is tuned.

    Each frame is Welch's power spectrum of its own 256 us: the mean over all segments of 128 samples, half
    overlapped, that fit from its beginning on, under a periodic Hann window (Welch 1967). The sample rate is the
    width of the band; other rates are filtered and resampled. Frame k begins at sample round(k * width * 256e-6),
    and all frames have equally many segments.

    Bin 0 is the lowest frequency. The band's centre is the middle of bin 64; bin 0 is centred on the band's edge.
    Where the capture leaves up to a tenth of the band uncovered, the missing edge shows the opposite edge of the
    capture, because a sampled spectrum repeats. After resampling bin 0 reads noise 7 dB low, bins 1 and 127 2 dB low.

    Raises:
        InvalidArgumentError: The capture misses more of the band, its rate cannot be brought to the width, or the
            band is narrower than one segment a frame.
    """

    def __init__(self, band: Band, sample_rate_hz: float, center_hz: float) -> None:
        offset_hz = band.center_hz - center_hz
        _check_coverage(band, sample_rate_hz, center_hz)
        resampled = sample_rate_hz != band.width_hz
        self._resampler = Resampler(sample_rate_hz, band.width_hz, offset_hz) if resampled else None
        # Rounding takes away what 256e-6 is off in binary: a frame of 1280 samples must not become 1279.99...
        self._frame_samples = round(band.width_hz * FRAME_SECONDS, 6)
        self._segments = (int(self._frame_samples) - FRAME_BINS) // _SEGMENT_STEP + 1
        if self._segments < 1:
            raise InvalidArgumentError(
                f"a band of {band.width_hz:.10g} Hz is too narrow for frames: "
                f"make it at least {FRAME_BINS / FRAME_SECONDS:.10g} Hz wide"
            )
        self._window = _mixing_window(offset_hz / band.width_hz, self._segments)
        self._piece_samples = int(_BATCH_FRAMES * FRAME_SECONDS * sample_rate_hz) + 1
        self.reset()

    def reset(self) -> None:
        """Forget the stream: the next sample pushed begins frame 0 of another one, as is right after a gap."""
        self._waiting: NDArray[np.complex64] = np.empty(0, dtype=np.complex64)
        self._position = 0  # of the first waiting sample in the stream
        self._frame = 0
        if self._resampler:
            self._resampler.reset()

    def push(self, iq: NDArray[np.complex64]) -> NDArray[np.float32]:
        """Take complex64 [n], give the frames that are complete, float32 [m, 128], in dB relative to full scale.

        A full-scale complex tone in the middle of a bin reads 0 dB. Any split of a stream gives the same frames.
        """
        pieces = (iq[start : start + self._piece_samples] for start in range(0, iq.size, self._piece_samples))
        batches = [self._push_piece(piece) for piece in pieces]
        return np.concatenate(batches) if batches else np.empty((0, FRAME_BINS), dtype=np.float32)

    def _push_piece(self, piece: NDArray[np.complex64]) -> NDArray[np.float32]:
        at_width = self._resampler.push(piece) if self._resampler else piece
        stream = np.concatenate((self._waiting, at_width), dtype=np.complex64)
        last = int((self._position + stream.size) / self._frame_samples) + 1
        starts = np.rint(np.arange(self._frame, last + 1) * self._frame_samples).astype(np.int64) - self._position
        starts = starts[starts <= stream.size]  # of the complete frames, and of the one that follows them
        self._frame += starts.size - 1
        self._position += int(starts[-1])
        self._waiting = stream[starts[-1] :].copy()
        return self._spectra(stream, starts[:-1])

    def _spectra(self, stream: NDArray[np.complex64], starts: NDArray[np.int64]) -> NDArray[np.float32]:
        if not starts.size:
            return np.empty((0, FRAME_BINS), dtype=np.float32)
        used_samples = FRAME_BINS + (self._segments - 1) * _SEGMENT_STEP
        frames = sliding_window_view(stream, used_samples)[starts]
        segments = sliding_window_view(frames, FRAME_BINS, axis=1)[:, ::_SEGMENT_STEP] * self._window
        spectra = scipy.fft.fft(segments, axis=2, overwrite_x=True, workers=1).view(np.float32)
        np.square(spectra, out=spectra)
        squares = spectra.sum(axis=1)  # of real and imaginary parts in turn
        power = squares[:, 0::2] + squares[:, 1::2]  # ten times as fast as a sum over an axis of two
        decibels: NDArray[np.float32] = 10 * np.log10(np.maximum(power, np.float32(10 ** (FLOOR_DB / 10))))
        return decibels


def encode_frames(frames_db: NDArray[np.float32], reference_db: float) -> NDArray[np.uint8]:
    """Round frames [n, 128] in dB to half-dB codes over the reference, uint8 [n, 128], clipped to 0..255."""
    codes: NDArray[np.float32] = np.rint((frames_db - np.float32(reference_db)) / np.float32(CODE_STEP_DB))
    return codes.clip(0, 255).astype(np.uint8)


def decode_frames(codes: NDArray[np.uint8], reference_db: float) -> NDArray[np.float32]:
    """Turn codes [n, 128] back into decibels, float32 [n, 128]: reference plus half a decibel a code."""
    return codes * np.float32(CODE_STEP_DB) + np.float32(reference_db)


def _mixing_window(offset: float, segments: int) -> NDArray[np.complex64]:
    """Return the Hann window, complex64 [128], that also mixes the lowest frequency of the band to bin 0.

    Mixing a whole stream differs from mixing each segment from its own beginning by one phase a segment, which its
    power spectrum does not see. So mixing costs nothing and knows no borders. `offset` is a part of the width; the
    scale makes the sum over the segments a mean, and a tone of amplitude one 0 dB.
    """
    samples = np.arange(FRAME_BINS)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * samples / FRAME_BINS)
    mixed = hann * np.exp(-2j * np.pi * (offset - 0.5) * samples)
    scaled: NDArray[np.complex128] = mixed / (hann.sum() * np.sqrt(segments))
    return scaled.astype(np.complex64)


def _check_coverage(band: Band, sample_rate_hz: float, center_hz: float) -> None:
    offset_hz = abs(band.center_hz - center_hz)
    needed_hz = 2 * offset_hz + band.width_hz * (1 - 2 * _LARGEST_GAP)
    if not sample_rate_hz >= needed_hz:
        raise InvalidArgumentError(
            f"{sample_rate_hz / 1e6:.6g} MS/s around {center_hz / 1e6:.10g} MHz miss more than a tenth of the band of "
            f"{band.width_hz / 1e6:.6g} MHz around {band.center_hz / 1e6:.10g} MHz: tune to its centre at "
            f"{band.width_hz / 1e6:.6g} MS/s, or sample at {needed_hz / 1e6:.6g} MS/s or more where you are"
        )
