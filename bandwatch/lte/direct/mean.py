"""The mean power of frames, and how much they fluctuate about it, straight from what senders send."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.direct.bins import FULL_SPECTRUM, BandBins
from bandwatch.lte.direct.energy import Sender
from bandwatch.lte.direct.geometry import PERIOD_FRAMES, PERIOD_SUBFRAMES
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS

BLOCK_FRAMES: Final = 10 * PERIOD_FRAMES
"""Frames that are made at a time: 320 ms."""

_PERIODS: Final = BLOCK_FRAMES // PERIOD_FRAMES
_STEPS_PER_FADE: Final = 24  # gains are computed so often in a period of the Doppler shift, and interpolated
_Number = TypeVar("_Number", np.float32, np.complex64)


@dataclass(frozen=True)
class FramePowers:
    """Frames before anything random is drawn.

    Attributes:
        signal: float32 [n, 128], mean power of signals, relative to full scale.
        variance: float32 [n, 128], variance of that power.
        noise: float32 [n, 128], mean power of Gaussian noise.
    """

    signal: NDArray[np.float32]
    variance: NDArray[np.float32]
    noise: NDArray[np.float32]

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean power, float32 [n, 128]."""
        return self.signal + self.noise


class FrameSource(Protocol):
    """An endless sequence of frames."""

    def next_block(self) -> FramePowers:
        """Return the next 1250 frames."""
        ...


class Way(Protocol):
    """The way from a sender's antenna ports to the receiver."""

    @property
    def doppler_hz(self) -> float:
        """The largest Doppler shift."""
        ...

    def gains(self, times_s: NDArray[np.float64], frequencies_hz: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return the amplitude at which a resource element of energy 1 arrives, complex64 [ports, times, frequencies].

        Args:
            times_s: float64 [times], since the stream began.
            frequencies_hz: float64 [frequencies], relative to the middle of the band.
        """
        ...


@dataclass(frozen=True)
class Heard:
    """A sender, and the way to the receiver."""

    sender: Sender
    way: Way


class MeanFrames:
    """What a receiver hears of senders, as frames.

    Args:
        bins: The bins of the band.
        heard: All senders.
        noise_density: Power of the receiver's noise in a hertz, relative to full scale.

    Raises:
        InvalidArgumentError: The receiver has no noise.
    """

    def __init__(self, bins: BandBins, heard: Sequence[Heard], noise_density: float) -> None:
        if not noise_density > 0:
            raise InvalidArgumentError("frames need a receiver with noise: give it a density above 0")
        self._bins = bins
        self._heard = [(one, *_blur(bins, one.sender.occupied_hz)) for one in heard]
        kernel, each = bins.kernel, scipy.sparse.identity(_PERIODS, np.float32)
        self._whole, self._cut, self._spread = (
            scipy.sparse.csr_array(scipy.sparse.kron(each, matrix))
            for matrix in (kernel.whole, kernel.cut, kernel.spread)
        )
        noise = bins.noise * np.float32(noise_density * bins.width_hz * FULL_SPECTRUM / FRAME_BINS)
        self._noise = np.tile(noise, (BLOCK_FRAMES, 1))
        self._middle_s = bins.geometry.seen_s / 2
        self._frame = 0

    def next_block(self) -> FramePowers:
        """Return the next 1250 frames."""
        signal = np.zeros((BLOCK_FRAMES, FRAME_BINS), np.float32)
        variance = np.zeros_like(signal)
        for heard, occupied_hz, blur in self._heard:
            one, of_one = self._received(heard, occupied_hz, blur)
            variance += of_one + 2 * np.float32(self._bins.noise_spread) * signal * one
            signal += one
        self._frame += BLOCK_FRAMES
        return FramePowers(signal, variance, self._noise)

    def _received(
        self, heard: Heard, occupied_hz: NDArray[np.float64], blur: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the mean power of one sender and its variance, float32 [1250, 128] each."""
        step = _frames_between_gains(heard.way)
        arriving = heard.way.gains(self._times_s(step), occupied_hz)
        power: NDArray[np.float32] = arriving.real**2 + arriving.imag**2
        gains = _in_frames(power[:, np.newaxis] @ blur, step)
        powers = heard.sender.next_powers(_PERIODS * PERIOD_SUBFRAMES)
        pattern = heard.sender.pattern
        at = np.arange(self._frame, self._frame + BLOCK_FRAMES) % pattern.shape[1]
        sent, whole, rest, cut = (np.zeros((BLOCK_FRAMES, FRAME_BINS), np.float32) for _ in range(4))
        for port, (gain, gain_of_cut) in enumerate(gains):
            of_port = self._whole @ powers.whole[port]
            sent += of_port
            whole += gain * of_port
            rest += gain * pattern[port, at]
            cut += gain_of_cut * (self._cut @ powers.cut[port])
        if len(arriving) > 1:
            beating = _in_frames((arriving[0] * arriving[1].conj()) @ blur[0], step)
            rest += 2 * (beating * heard.sender.beats[at]).real
        gain = np.divide(whole, sent, out=np.zeros_like(whole), where=sent > 0)
        variance = gain**2 * (self._spread @ powers.random_square)
        variance += np.float32(self._bins.kernel.cut_spread) * cut**2
        return np.maximum(whole + cut + rest, 0), variance

    def _times_s(self, step: int) -> NDArray[np.float64]:
        """Return when every step-th of the next 1250 frames is seen, and the one behind the last of these."""
        frames = self._frame + np.arange(-(-BLOCK_FRAMES // step) + 1, dtype=np.float64) * step
        return frames * FRAME_SECONDS + self._middle_s


def _frames_between_gains(way: Way) -> int:
    """Return in how many frames a way hardly changes."""
    return min(max(int(1 / (_STEPS_PER_FADE * way.doppler_hz * FRAME_SECONDS)), 1), BLOCK_FRAMES)


def _in_frames(gains: NDArray[_Number], step: int) -> NDArray[_Number]:
    """Return gains [..., times, 128] that are `step` frames apart in each of 1250 frames, [..., 1250, 128]."""
    share = (np.arange(step, dtype=np.float32) / np.float32(step))[:, np.newaxis]
    each = gains[..., np.newaxis, :]
    between = each[..., :-1, :, :] * (1 - share) + each[..., 1:, :, :] * share
    return between.reshape(*gains.shape[:-2], -1, FRAME_BINS)[..., :BLOCK_FRAMES, :]


def _blur(bins: BandBins, occupied_hz: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return frequencies at which a carrier's gain is asked for, and how much each counts in each bin.

    The latter is float32 [2, frequencies, 128], for whole and for cut tones.
    """
    lowest_hz, highest_hz = occupied_hz
    inside = (bins.centers_hz >= lowest_hz) & (bins.centers_hz <= highest_hz)
    hz = bins.centers_hz[inside]
    weights = np.stack(bins.tones(hz))
    total = weights.sum(axis=1, keepdims=True)
    # Where nothing of a carrier arrives, its gain does not matter.
    return hz, np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
