"""Anomalies by timetable, mixed into real or simulated samples.

The kinds are those of the seed paper: foreign transmitters, frequencies that go down, and steps of the transmit power.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.effects import Effect, filter_taps
from bandwatch.lte.anomalies.kinds import KINDS, POWER_STEPS_DB, is_visible, make_effect
from bandwatch.lte.anomalies.level import LevelMeter

__all__ = ["KINDS", "Anomaly", "AnomalyMixer", "parse_timetable"]


@dataclass(frozen=True)
class Anomaly:
    """One anomaly in a stream.

    Attributes:
        kind: One of `KINDS`.
        start_s: When it begins, in seconds of stream time.
        stop_s: When it ends.
        ratio_db: Power relative to the mean that the stream had when the anomaly began. For "ofdm-..." and "...psk-..."
            that of the interference, as far as the sample rate shows it; for "down-..." that of the noise floor left
            behind, were it as wide as the band; "power-..." ignores it.
        offset_hz: How far above the centre the interference lies. For "down-..." how far above the lower edge of the
            band the silent share begins; it goes on from the lower edge where it passes the upper. "power-..." ignores
            it.

    Raises:
        InvalidArgumentError: The kind is unknown, a number is not finite, or the times hold no duration.
    """

    kind: str
    start_s: float
    stop_s: float
    ratio_db: float
    offset_hz: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidArgumentError(f"{self.kind!r} is no kind of anomaly: choose from {', '.join(KINDS)}")
        if not all(map(math.isfinite, (self.start_s, self.stop_s, self.ratio_db, self.offset_hz))):
            raise InvalidArgumentError(f"an anomaly {self.kind} needs finite times, ratio and offset")
        if not 0 <= self.start_s < self.stop_s:
            raise InvalidArgumentError(
                f"an anomaly {self.kind} from {self.start_s} s to {self.stop_s} s has no duration: "
                "begin at 0 s or later, and stop after that"
            )


def parse_timetable(data: object) -> tuple[Anomaly, ...]:
    """Return the anomalies of a list of JSON objects whose keys are the attributes of `Anomaly`.

    `offset_hz` may be left out, and `ratio_db` too where the kind ignores it.

    Raises:
        InvalidArgumentError: The data is no such list; the sentence says which entry is at fault.
    """
    if not isinstance(data, list):
        raise InvalidArgumentError(
            'a timetable is a list such as [{"kind": "ofdm-1mhz", "start_s": 2, "stop_s": 3, "ratio_db": -10}]'
        )
    return tuple(_parse_entry(number, entry) for number, entry in enumerate(data, start=1))


def _parse_entry(number: int, entry: object) -> Anomaly:
    """Return one entry of a timetable."""
    where = f"entry {number} of the timetable"
    if not isinstance(entry, dict):
        raise InvalidArgumentError(f"{where} is no object with the keys kind, start_s, stop_s and ratio_db")
    optional = {"offset_hz": 0.0} | ({"ratio_db": 0.0} if str(entry.get("kind")) in POWER_STEPS_DB else {})
    values = optional | entry
    names = {field.name for field in fields(Anomaly)}
    for name in sorted(names - values.keys()):
        raise InvalidArgumentError(f"{where} lacks {name}")
    for name in sorted(map(str, values.keys() - names)):
        raise InvalidArgumentError(f"{where} has {name}, which nothing reads: remove it")
    for name in sorted(names - {"kind"}):
        if isinstance(values[name], bool) or not isinstance(values[name], int | float):
            raise InvalidArgumentError(f"{where} has {values[name]!r} for {name}: write a number")
    try:
        return Anomaly(str(values.pop("kind")), **values)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{where}: {error.message}") from error


def _refuse_overlaps(timetable: Sequence[Anomaly]) -> None:
    """Refuse anomalies, sorted by their beginning, of which two are due at once."""
    for earlier, later in pairwise(timetable):
        if later.start_s < earlier.stop_s:
            raise InvalidArgumentError(
                f"the anomalies {earlier.kind} from {earlier.start_s} s and {later.kind} from {later.start_s} s "
                "overlap: give each a time of its own"
            )


def _refuse_invisible(timetable: Sequence[Anomaly], sample_rate_hz: float) -> None:
    """Refuse interference that the samples cannot show."""
    for anomaly in timetable:
        if not is_visible(anomaly.kind, anomaly.offset_hz, sample_rate_hz):
            raise InvalidArgumentError(
                f"the anomaly {anomaly.kind} at {anomaly.offset_hz} Hz from the centre lies outside of "
                f"{sample_rate_hz} samples a second: move it nearer"
            )


class AnomalyMixer:
    """Mixes the anomalies of a timetable into a stream; the same seed gives the same anomalies.

    What comes out does not depend on how the stream is cut into calls, except that an anomaly in the first millisecond
    of a stream takes its reference power from the samples of the call that it begins in. Two anomalies at once are two
    mixers, one after the other.

    Args:
        timetable: Anomalies that do not overlap, in any order.
        sample_rate_hz: Samples in a second.
        seed: 0 or more.
        band_width_hz: The band that "down-..." anomalies take their share of; the sample rate unless told.

    Raises:
        InvalidArgumentError: Anomalies overlap, or interference lies outside what the sample rate can show.
    """

    def __init__(
        self, timetable: Sequence[Anomaly], sample_rate_hz: float, seed: int, band_width_hz: float | None = None
    ) -> None:
        band_width_hz = sample_rate_hz if band_width_hz is None else min(band_width_hz, sample_rate_hz)
        if not (math.isfinite(sample_rate_hz) and band_width_hz > 0):
            raise InvalidArgumentError("the sample rate and the width of the band must be positive numbers of hertz")
        self._timetable = sorted(timetable, key=lambda anomaly: anomaly.start_s)
        _refuse_overlaps(self._timetable)
        _refuse_invisible(self._timetable, sample_rate_hz)
        self._sample_rate_hz = sample_rate_hz
        self._seed = seed
        self._band_width_hz = band_width_hz
        self._meter = LevelMeter(sample_rate_hz)
        self._before = np.zeros(filter_taps(sample_rate_hz) - 1, np.complex64)
        self._next_sample = 0
        self._current: tuple[Anomaly, Effect] | None = None

    def mix(self, iq: NDArray[np.complex64], first_sample: int) -> NDArray[np.complex64]:
        """Return the samples complex64 [n] with what is due mixed in, or the same array when nothing is.

        Args:
            iq: complex64 [n], received samples.
            first_sample: Where in the stream they begin; a jump ahead is a gap, in which anomalies go on unheard.
        """
        stop = first_sample + len(iq)
        if first_sample != self._next_sample:
            self._meter.forget_incomplete()
            self._before = np.zeros_like(self._before)
        self._next_sample = stop
        mixed = iq
        for anomaly, start, end in self._pieces(first_sample, stop):
            piece = iq[start - first_sample : end - first_sample]
            if anomaly:
                if mixed is iq:
                    mixed = iq.copy()
                at = start - self._sample(anomaly.start_s)
                effect = self._effect(anomaly, piece)
                mixed[start - first_sample : end - first_sample] = effect.apply(piece, at, self._before)
            self._hear(piece)
        return mixed

    def _sample(self, time_s: float) -> int:
        """Return the place of a time in the stream."""
        return round(time_s * self._sample_rate_hz)

    def _pieces(self, first: int, stop: int) -> list[tuple[Anomaly | None, int, int]]:
        """Cut samples first..stop where anomalies begin and end, up to the end of the last anomaly."""
        pieces: list[tuple[Anomaly | None, int, int]] = []
        for anomaly in self._timetable:
            start, end = (min(max(first, self._sample(time)), stop) for time in (anomaly.start_s, anomaly.stop_s))
            pieces += [(None, first, start), (anomaly, start, end)]
            first = max(first, end)
        return [piece for piece in pieces if piece[1] < piece[2]]

    def _hear(self, piece: NDArray[np.complex64]) -> None:
        """Remember the level and the latest of the received samples."""
        self._meter.hear(piece)
        self._before = np.concatenate([self._before, piece[-len(self._before) :]])[-len(self._before) :]

    def _effect(self, anomaly: Anomaly, piece: NDArray[np.complex64]) -> Effect:
        """Return the effect of an anomaly, made when the first of its samples comes."""
        if self._current is None or self._current[0] is not anomaly:
            power = self._meter.mean_power
            if power is None:
                power = float(np.mean(np.abs(piece) ** 2))
            effect = make_effect(
                anomaly.kind,
                power * 10 ** (anomaly.ratio_db / 10),
                anomaly.offset_hz,
                self._sample_rate_hz,
                self._band_width_hz,
                np.random.default_rng([self._seed, self._timetable.index(anomaly)]),
            )
            self._current = anomaly, effect
        return self._current[1]
