"""Anomalies in frames that are made without samples.

Outages begin and end at once here; in samples, their filter needs 50 us for it and delays by as much.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.anomalies.effects import STEP_SECONDS
from bandwatch.lte.anomalies.kinds import POWER_STEPS_DB
from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.lte.direct.bins import FULL_SPECTRUM, BandBins
from bandwatch.lte.direct.geometry import PERIOD_FRAMES
from bandwatch.lte.direct.looks import look
from bandwatch.lte.direct.mean import FramePowers, FrameSource
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS

_FIRST_FRAMES: Final = round(1e-3 / FRAME_SECONDS)
_REMEMBERED_FRAMES: Final = round(0.25 / FRAME_SECONDS)


class FramesWithAnomalies:
    """Frames with the anomalies of a timetable, as `AnomalyMixer` mixes them into the samples of a receiver.

    Args:
        source: The frames.
        timetable: Anomalies that do not overlap, in any order, in seconds since the first frame began. The receiver is
            tuned to the middle of the band, and "down-..." take their share of the band.
        bins: The bins of the band.

    Raises:
        InvalidArgumentError: Anomalies overlap, or interference lies outside what the sample rate can show.
    """

    def __init__(self, source: FrameSource, timetable: Sequence[Anomaly], bins: BandBins) -> None:
        AnomalyMixer(timetable, bins.sample_rate_hz, 0, bins.width_hz)  # refuses what cannot be
        self._source = source
        self._timetable = sorted(timetable, key=lambda anomaly: anomaly.start_s)
        self._bins = bins
        self._levels = FrameLevels(bins)
        self._references: dict[int, float] = {}
        self._frame = 0

    def next_block(self) -> FramePowers:
        """Return the next 1250 frames."""
        powers = self._source.next_block()
        starts_s = self._starts_s(len(powers.signal))
        if self._timetable and self._timetable[-1].stop_s > starts_s[0]:
            levels = self._levels.heard(powers)
            for number, anomaly in enumerate(self._timetable):
                if anomaly.stop_s > starts_s[0] and anomaly.start_s < starts_s[-1] + FRAME_SECONDS:
                    before = int(np.searchsorted(starts_s + FRAME_SECONDS, anomaly.start_s, side="right"))
                    reference = self._references.setdefault(number, float(levels[before]))
                    powers = self._changed(powers, number, reference, starts_s)
        return powers

    def _starts_s(self, count: int) -> NDArray[np.float64]:
        """Return when the next frames begin, and go on by as many."""
        periods, places = np.divmod(np.arange(self._frame, self._frame + count), PERIOD_FRAMES)
        self._frame += count
        starts: NDArray[np.float64] = periods * (PERIOD_FRAMES * FRAME_SECONDS) + self._bins.geometry.starts_s()[places]
        return starts

    def _changed(
        self, powers: FramePowers, number: int, reference: float, starts_s: NDArray[np.float64]
    ) -> FramePowers:
        """Return the frames with one anomaly."""
        anomaly = self._timetable[number]
        seen = look(anomaly.kind, anomaly.offset_hz, self._bins)
        share = self._share(starts_s, anomaly.start_s, anomaly.stop_s)
        power = np.float32(reference * 10 ** (anomaly.ratio_db / 10)) * share
        kept = 1 - share * (1 - seen.kept)
        if anomaly.kind in POWER_STEPS_DB:
            kept += np.float32(10 ** (POWER_STEPS_DB[anomaly.kind] / 10) - 1) * self._stepped_up(anomaly, starts_s)
        added = power * seen.added
        crossed = 2 * np.float32(self._bins.noise_spread) * powers.signal * added
        return FramePowers(
            powers.signal * kept + added,
            powers.variance * kept**2 + power**2 * seen.added_variance + crossed,
            powers.noise * kept + power * seen.added_noise,
        )

    def _stepped_up(self, anomaly: Anomaly, starts_s: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the share of each frame in which the power is stepped up, float32 [n, 1]."""
        first = max(int((starts_s[0] - anomaly.start_s) / STEP_SECONDS), 0) // 2 * 2
        last = int((min(starts_s[-1] + FRAME_SECONDS, anomaly.stop_s) - anomaly.start_s) / STEP_SECONDS)
        up = np.zeros((len(starts_s), 1), np.float32)
        for step in range(first, last + 1, 2):
            start_s = anomaly.start_s + step * STEP_SECONDS
            up += self._share(starts_s, start_s, min(start_s + STEP_SECONDS, anomaly.stop_s))
        return up

    def _share(self, starts_s: NDArray[np.float64], start_s: float, stop_s: float) -> NDArray[np.float32]:
        """Return the share of each frame that lies between two times, float32 [n, 1]."""
        seen = self._bins.geometry.seen_until
        return (seen(stop_s - starts_s) - seen(start_s - starts_s)).astype(np.float32)[:, np.newaxis]


class FrameLevels:
    """The mean power of samples up to each frame, as `LevelMeter` has it: older power is forgotten from 250 ms on."""

    def __init__(self, bins: BandBins) -> None:
        self._out_of_band = bins.sample_rate_hz / bins.width_hz
        self._frames = 0
        self._mean = 0.0

    def heard(self, powers: FramePowers) -> NDArray[np.float64]:
        """Return the level before each frame and after the last, float64 [n + 1], and remember the latter."""
        noise = powers.noise[:, FRAME_BINS // 2] * FRAME_BINS * self._out_of_band
        totals = (powers.signal.sum(axis=1, dtype=np.float64) + noise) / FULL_SPECTRUM
        levels = [self._mean if self._frames else float(totals[:_FIRST_FRAMES].mean())]
        for total in totals.tolist():
            self._frames += 1
            self._mean += (total - self._mean) / min(self._frames, _REMEMBERED_FRAMES)
            levels.append(self._mean)
        return np.array(levels)
