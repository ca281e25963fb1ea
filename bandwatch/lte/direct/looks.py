"""What anomalies look like in frames, measured on what they do to samples."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies.effects import Effect, filter_taps
from bandwatch.lte.anomalies.kinds import DOWN_SHARES, POWER_STEPS_DB, make_effect
from bandwatch.lte.direct.bins import FULL_SPECTRUM, BandBins
from bandwatch.spectrogram.bands import FRAME_BINS, Band
from bandwatch.spectrogram.frames import FrameMaker

_WAVEFORM_SECONDS: Final = 0.1  # as long as interference takes to repeat
_CENTER_HZ: Final = 1e9  # of receiver and band alike


@dataclass(frozen=True)
class Look:
    """What an anomaly does to frames all through.

    Attributes:
        kept: float32 [128], share that remains of the power that was there.
        added: float32 [128], power of a signal that it adds, for an anomaly of power 1.
        added_variance: float32 [128], variance of that.
        added_noise: float32 [128], power of noise that it adds, for an anomaly of power 1.
    """

    kept: NDArray[np.float32]
    added: NDArray[np.float32]
    added_variance: NDArray[np.float32]
    added_noise: NDArray[np.float32]


@lru_cache(maxsize=256)
def look(kind: str, offset_hz: float, bins: BandBins) -> Look:
    """Return what an anomaly of a kind looks like; the receiver is tuned to the middle of the band.

    Args:
        kind: One of `KINDS`.
        offset_hz: Where in the spectrum, as `Anomaly` says.
        bins: The bins of the band, which is also what shares are taken of.
    """
    ones, zeros = np.ones(FRAME_BINS, np.float32), np.zeros(FRAME_BINS, np.float32)
    if kind in POWER_STEPS_DB:
        return Look(ones, zeros, zeros, zeros)
    rng = np.random.default_rng(0)  # a tenth of a second looks alike, whatever was drawn
    rate_hz, width_hz = bins.sample_rate_hz, bins.width_hz
    if kind in DOWN_SHARES:
        kept, floor = _through(make_effect(kind, 0.0, offset_hz, rate_hz, width_hz, rng), bins)
        return Look(kept, zeros, zeros, floor)
    effect = make_effect(kind, 1.0, offset_hz, rate_hz, width_hz, rng)
    waveform = effect.apply(np.zeros(round(_WAVEFORM_SECONDS * rate_hz), np.complex64), 0, np.empty(0, np.complex64))
    frames_db = FrameMaker(Band(_CENTER_HZ, width_hz), rate_hz, _CENTER_HZ).push(waveform)[1:]
    frames = 10 ** (frames_db.astype(np.float64) / 10)
    return Look(ones, frames.mean(axis=0).astype(np.float32), frames.var(axis=0).astype(np.float32), zeros)


def _through(effect: Effect, bins: BandBins) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what an outage lets through of the power in each bin, and what a floor of power 1 reads there.

    The effect is x + h * (floor - x), with a filter h. An impulse shows what it makes of x; the rest is the delay, less
    that.
    """
    taps = filter_taps(bins.sample_rate_hz)
    impulse = np.zeros(taps, np.complex64)
    impulse[0] = 1
    response = effect.apply(impulse, 0, np.zeros(taps - 1, np.complex64))
    delayed = np.zeros(taps)
    delayed[taps // 2] = 1
    turns = np.exp(-2j * np.pi * np.outer(bins.fine_hz / bins.sample_rate_hz, np.arange(taps)))
    weights, _ = bins.tones(bins.fine_hz)
    weights /= weights.sum(axis=0)
    kept = np.abs(turns @ response) ** 2 @ weights
    floor = np.abs(turns @ (delayed - response)) ** 2 @ weights * bins.noise * (FULL_SPECTRUM / FRAME_BINS)
    return kept.astype(np.float32), floor.astype(np.float32)
