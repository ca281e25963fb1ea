"""Means over spans of time. Windows of one span resemble each other, so a span counts as one, however many it holds."""

import math
from dataclasses import dataclass
from typing import Final, Self

from scipy.special import stdtrit

FEWEST_SPANS: Final = 3
"""Below that nobody can tell how much spans differ."""
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Spans:
    """Sums over spans, each of w windows whose values add up to v: enough for the mean and for its variance."""

    spans: int = 0
    windows: float = 0.0
    values: float = 0.0
    windows_squared: float = 0.0
    windows_times_values: float = 0.0
    values_squared: float = 0.0

    @classmethod
    def of(cls, windows: float, values: float) -> Self:
        """Return the sums of one span."""
        return cls(1, windows, values, windows * windows, windows * values, values * values)

    def __add__(self, other: "Spans") -> "Spans":
        """Return the sums over both."""
        return Spans(
            self.spans + other.spans,
            self.windows + other.windows,
            self.values + other.values,
            self.windows_squared + other.windows_squared,
            self.windows_times_values + other.windows_times_values,
            self.values_squared + other.values_squared,
        )

    @property
    def mean(self) -> float:
        """Mean of a window."""
        return self.values / self.windows if self.windows else 0.0

    @property
    def variance_of_mean(self) -> float:
        """Variance of the mean, as far as the spread between spans shows it (ratio estimator, Cochran 1977, 2.10)."""
        residual = self.values_squared - 2 * self.mean * self.windows_times_values + self.mean**2 * self.windows_squared
        return max(0.0, residual) / self.windows**2 * self.spans / (self.spans - 1)


@dataclass(frozen=True)
class Difference:
    """A difference of means, its standard error, and bounds of 95 % on either side."""

    mean: float
    standard_error: float
    freedom: float

    @property
    def lower(self) -> float:
        """What the difference is at least."""
        return self.mean - self._reach

    @property
    def upper(self) -> float:
        """What the difference is at most."""
        return self.mean + self._reach

    @property
    def _reach(self) -> float:
        return float(stdtrit(self.freedom, _CONFIDENCE)) * self.standard_error


def mean_difference(differences: Spans) -> Difference | None:
    """Return the mean of differences that were taken window by window; None while there are too few spans."""
    return _combine([(1.0, differences)])


def excess(*, own: Spans, own_before: Spans, others: Spans, others_before: Spans) -> Difference | None:
    """Return by how much the error of an observer is above what the former release would have given.

    That is the change against its own past, less the change that the other observers of its cell saw meanwhile. Where
    either is not known, the other decides alone; None where neither is, or the observer itself has too few spans.
    """
    known_past = own_before.spans >= FEWEST_SPANS
    known_change = others.spans >= FEWEST_SPANS and others_before.spans >= FEWEST_SPANS
    if known_past and known_change:
        return _combine([(1.0, own), (-1.0, own_before), (-1.0, others), (1.0, others_before)])
    if known_past:
        return _combine([(1.0, own), (-1.0, own_before)])
    if others.spans >= FEWEST_SPANS:
        return _combine([(1.0, own), (-1.0, others)])
    return None


def _combine(parts: list[tuple[float, Spans]]) -> Difference | None:
    """Return a sum of means with signs; degrees of freedom as of Welch and Satterthwaite, since spreads may differ."""
    if min(spans.spans for _, spans in parts) < FEWEST_SPANS:
        return None
    variances = [spans.variance_of_mean for _, spans in parts]
    shares = sum(variance**2 / (spans.spans - 1) for variance, (_, spans) in zip(variances, parts, strict=True))
    fewest = min(spans.spans for _, spans in parts) - 1
    return Difference(
        sum(sign * spans.mean for sign, spans in parts),
        math.sqrt(sum(variances)),
        sum(variances) ** 2 / shares if shares else fewest,
    )
