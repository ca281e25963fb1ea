"""What an event looks like: its box in frequency, what kind of thing it is, and how much it matters.

Maps of an event are looked at against their own spread over normal windows, bin by bin:

- The onset: the residual (measured less predicted, the mean over the target frames) in the first five windows in a row
  in which it was large. Their input frames were still clean, so all that is new is in it.
- The residual over the whole event. By then a model follows what stays, but not quite, above all at its edges.
- The level: what was measured over the whole event. What stays is in it, and so is the traffic of the hour.
- The common part: how far all bins of a window are off together, and how unevenly.

What follows from them:

- Box: onset and level, each in units of its deviations and bounded so that no few bins outweigh all others, are
  added with a sign; what the residual stays off by is added without. Of all stretches of bins that is taken of which
  a profile of two levels fits best, without what is low at its ends. It is the whole band where four fifths of the
  bins are raised, by a quarter as much as the stretch, or where the rest is half as high. The profile is made for more
  power and for missing power, and the clearer stretch counts.
- Outage: power is missing, by more than 6 dB against what was predicted, and against what is normal too. Where it is
  missing against the prediction alone, something ended that the model had got used to; that has the kind of its width.
- Power step: the windows were off together `_STEP_RATIO` times as much as usual, hardly more unevenly than usual, and
  the level has not moved by 6 dB or more, which would be another transmitter, or none.
- Narrowband, partial, wide: more power in less than a twelfth of the band, in up to three quarters, in more.
- Severity: a point each for an excess above 6 dB, for one above 15 dB, for more than a third of the band, and for more
  than 10 s. None is low, one or two are medium, three or more high.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_BINS

Kind = Literal["wide", "partial", "narrowband", "power_step", "outage"]
SeverityWord = Literal["low", "medium", "high"]
Map = NDArray[np.float64]

_SMOOTH_BINS: Final = 3
_LEAST_BINS: Final = 2
_REST_SHARE: Final = 0.5
_ONSET_LIMIT: Final = 8.0
_LEVEL_LIMIT: Final = 3.0
_STEADY_LIMIT: Final = 6.0
_STEP_RATIO: Final = 2.5
_UNEVEN_LIMIT: Final = 2.0
_STEP_LIMIT_DB: Final = 6.0
_NARROW_SHARE: Final = 1 / 12
_WIDE_SHARE: Final = 0.75
_LARGE_SHARE: Final = 1 / 3
_MEDIUM_DB: Final = 6.0
_HIGH_DB: Final = 15.0
_MOST_BINS: Final = 0.8
_RAISED: Final = 1.5
_REST_LEVEL_SHARE: Final = 0.25
_TRIM_SHARE: Final = 0.5
_LONG_S: Final = 10.0
_OUTAGE_DB: Final = 6.0
_SMALLEST: Final = 1e-6
_HIGH_POINTS: Final = 3


@dataclass(frozen=True)
class Normal:
    """How the maps are spread over normal windows; every map float64 [128], in dB.

    `residual` and `level` are means of single windows, `level_deviation` that of means over as many windows as an event
    needs at least. `common` is the mean square of a window's median residual, `uneven` that of what is left without it.
    """

    residual: Map
    residual_deviation: Map
    level: Map
    level_deviation: Map
    steady_deviation: Map
    common: float
    uneven: float


@dataclass(frozen=True)
class Evidence:
    """The same maps of an event. `onset` is the mean residual over the first `onset_windows` windows."""

    onset: Map
    onset_windows: int
    residual: Map
    level: Map
    common: float
    uneven: float


@dataclass(frozen=True)
class Shape:
    """What an event looks like: bins first..last, both inside; its kind; and how far its power is off inside, in dB."""

    first_bin: int
    last_bin: int
    kind: Kind
    confidence: float
    excess_db: float

    @property
    def share(self) -> float:
        """Share of the band inside the box."""
        return (self.last_bin - self.first_bin + 1) / FRAME_BINS


def window_maps(measured: NDArray[np.uint8], predicted: NDArray[np.float32]) -> tuple[Map, Map]:
    """Return residual and level in dB of each window, float64 [n, 128] twice, from target codes [n, 25, 128] twice."""
    level = CODE_STEP_DB * measured.mean(axis=1, dtype=np.float64)
    return level - CODE_STEP_DB * predicted.mean(axis=1, dtype=np.float64), level


def shape_of(normal: Normal, evidence: Evidence) -> Shape:
    """Return what an event looks like."""
    signed, steady = _profiles(normal, evidence)
    more, less = _found(1, signed, steady, normal, evidence), _found(-1, signed, steady, normal, evidence)
    found = less if less.strength > more.strength and less.excess_db < -_OUTAGE_DB else more
    is_outage = found is less and less.level_db < -_OUTAGE_DB / 2
    step = _step_strength(normal, evidence)
    moved_db = abs(float((evidence.level - normal.level).mean()))
    if step > 0 and not is_outage and moved_db < _STEP_LIMIT_DB:
        jump_db = float(np.sqrt(evidence.common)) * (1.0 if float(np.median(evidence.onset)) >= 0 else -1.0)
        return Shape(0, FRAME_BINS - 1, "power_step", _squash(step), jump_db)
    kind = "outage" if is_outage else _width_word((found.last - found.first + 1) / FRAME_BINS)
    return Shape(found.first, found.last, kind, found.confidence, found.excess_db)


def severity_of(shape: Shape, duration_s: float) -> SeverityWord:
    """Return how much an event matters, by its excess, its share of the band and its duration."""
    excess_db = abs(shape.excess_db)
    points = sum((excess_db > _MEDIUM_DB, excess_db > _HIGH_DB, shape.share > _LARGE_SHARE, duration_s > _LONG_S))
    if points >= _HIGH_POINTS:
        return "high"
    return "medium" if points else "low"


def _profiles(normal: Normal, evidence: Evidence) -> tuple[Map, Map]:
    """Return the signed profile (onset and level together) and that of what the model stays off by, without a sign."""
    onset = (evidence.onset - normal.residual) / (normal.residual_deviation / np.sqrt(evidence.onset_windows))
    level = (evidence.level - normal.level) / normal.level_deviation
    steady = (evidence.residual - normal.residual) / normal.steady_deviation
    signed = np.clip(onset, -_ONSET_LIMIT, _ONSET_LIMIT) + np.clip(level, -_LEVEL_LIMIT, _LEVEL_LIMIT)
    return _smooth(signed), _smooth(np.clip(np.abs(steady), 0, _STEADY_LIMIT))


def _smooth(profile: Map) -> Map:
    padded = np.pad(profile, _SMOOTH_BINS // 2, mode="edge")
    smooth: Map = np.convolve(padded, np.full(_SMOOTH_BINS, 1 / _SMOOTH_BINS), mode="valid")
    return smooth


@dataclass(frozen=True)
class _Found:
    first: int
    last: int
    strength: float
    excess_db: float
    level_db: float
    confidence: float


def _found(sign: int, signed: Map, steady: Map, normal: Normal, evidence: Evidence) -> _Found:
    """Return where power is missing, or where there is more, with how much speaks for it."""
    profile = sign * signed + steady
    off_db = sign * (evidence.level - normal.level)
    first, last = _stretch(profile)
    if last - first + 1 < FRAME_BINS and np.quantile(sign * signed, 1 - _MOST_BINS) > _RAISED:
        rest_db = float(np.median(np.delete(off_db, np.arange(first, last + 1))))
        if rest_db > _REST_LEVEL_SHARE * float(off_db[first : last + 1].mean()):
            first, last = 0, FRAME_BINS - 1
    inside = slice(first, last + 1)
    level_db = float(off_db[inside].mean())
    onset_db = sign * float((evidence.onset - normal.residual)[inside].mean())
    strength = float(profile[inside].mean() * np.sqrt(last - first + 1))
    excess_db = sign * max(level_db, onset_db)
    return _Found(first, last, strength, excess_db, sign * level_db, _box_confidence(profile, inside))


def _stretch(profile: Map) -> tuple[int, int]:
    """Return the first and last bin of the stretch that is above the rest.

    Of all stretches that of which a profile of two levels fits best; the whole band where the rest is high too.
    """
    sums = np.concatenate(([0.0], np.cumsum(profile)))
    first, stop = np.triu_indices(FRAME_BINS + 1, k=_LEAST_BINS)
    count = (stop - first).astype(np.float64)
    rest = np.maximum(FRAME_BINS - count, 1.0)
    inside, outside = (sums[stop] - sums[first]) / count, (sums[-1] - sums[stop] + sums[first]) / rest
    contrast = np.where(inside > np.abs(outside), (inside - outside) * np.sqrt(count * rest / FRAME_BINS), 0.0)
    best = int(contrast.argmax())
    if outside[best] > _REST_SHARE * inside[best]:
        return 0, FRAME_BINS - 1
    return _trimmed(profile, int(first[best]), int(stop[best]) - 1)


def _trimmed(profile: Map, first: int, last: int) -> tuple[int, int]:
    """Leave out what is low at either end of a stretch, against the middle of its bins."""
    low = _TRIM_SHARE * float(np.median(profile[first : last + 1]))
    high = np.flatnonzero(profile[first : last + 1] >= low)
    return (first + int(high[0]), first + int(high[-1])) if high.size else (first, last)


def _step_strength(normal: Normal, evidence: Evidence) -> float:
    """Return how clearly the whole band moved together; above zero means that it did."""
    together = max(evidence.common / normal.common, _SMALLEST)
    uneven = max(evidence.uneven / normal.uneven, _SMALLEST)
    return float(min(np.log(together / _STEP_RATIO), np.log(_UNEVEN_LIMIT / uneven)))


def _width_word(share: float) -> Kind:
    if share < _NARROW_SHARE:
        return "narrowband"
    return "partial" if share <= _WIDE_SHARE else "wide"


def _box_confidence(profile: Map, inside: slice) -> float:
    """Return how far the bins inside stand out from those outside."""
    outside = np.delete(profile, np.arange(inside.start, inside.stop))
    rest = float(np.abs(outside).mean()) if outside.size else 1.0
    return _squash(np.log(max(float(profile[inside].mean()), _SMALLEST) / max(rest, 1.0)))


def _squash(strength: float) -> float:
    """Map a strength of 0 to one half, and of 2 to 0.88."""
    return float(1 / (1 + np.exp(-strength)))
