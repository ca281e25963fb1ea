"""What the paper claims, judged by numbers: where it holds and where it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

NEGLIGIBLE_SHARE: Final = 0.03
"""Errors that differ by no more count as equal."""
_NAMED_AT_MOST: Final = 4


class Verdict(StrEnum):
    """Whether a claim holds in all comparisons, in some, or in none."""

    HOLDS = "holds"
    PARTLY = "holds partly"
    NOT = "does not hold"


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        where: What is compared.
        holds: Whether the claim holds there.
        found: The numbers, in words.
    """

    where: str
    holds: bool
    found: str


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, and every comparison that can bear it out.

    Raises:
        ValueError: There is no comparison.
    """

    sentence: str
    checks: tuple[Check, ...]

    def __post_init__(self) -> None:
        if not self.checks:
            raise ValueError(f"nothing bears on the claim: {self.sentence}")

    @property
    def verdict(self) -> Verdict:
        """Return whether it holds."""
        holding = [check.holds for check in self.checks]
        if all(holding):
            return Verdict.HOLDS
        return Verdict.PARTLY if any(holding) else Verdict.NOT

    @property
    def score(self) -> str:
        """Return in how many comparisons it holds."""
        return f"{sum(check.holds for check in self.checks)} of {len(self.checks)}"

    @property
    def exceptions(self) -> tuple[Check, ...]:
        """Return the comparisons in which it does not hold."""
        return tuple(check for check in self.checks if not check.holds)

    @property
    def told(self) -> str:
        """Return a sentence about where it holds and where not."""
        if self.verdict is Verdict.HOLDS:
            return f"Holds in {self.score}: {_listed(self.checks)}."
        return f"Holds in {self.score}. Not for {_listed(self.exceptions)}."


def less(where: str, lower: float, upper: float, unit: str = "dB") -> Check:
    """Return the check that one number is below another."""
    return Check(where, lower < upper, f"{_number(lower, unit)} against {_number(upper, unit)}")


def within(where: str, value: float, reference: float, share: float = NEGLIGIBLE_SHARE) -> Check:
    """Return the check that an error in dB is at most a share above a reference."""
    return Check(where, value <= reference * (1 + share), _compared(value, reference))


def beyond(where: str, value: float, reference: float, share: float = NEGLIGIBLE_SHARE) -> Check:
    """Return the check that an error in dB is more than a share above a reference."""
    return Check(where, value > reference * (1 + share), _compared(value, reference))


def near(where: str, value: float, reference: float, share: float) -> Check:
    """Return the check that an error in dB differs from a reference by at most a share, to either side."""
    return Check(where, abs(value / reference - 1) <= share, _compared(value, reference))


def at_least(where: str, value: float, stated: float) -> Check:
    """Return the check that a share reaches what is stated."""
    return Check(where, value >= stated, f"{100 * value:.0f} % against {100 * stated:.0f} %")


def _compared(value: float, reference: float) -> str:
    return f"{value:.2f} dB against {reference:.2f} dB, {100 * (value / reference - 1):+.1f} %"


def _number(value: float, unit: str) -> str:
    return f"{value:.2f} {unit}" if unit else f"{value:.3f}"


def _listed(checks: Sequence[Check]) -> str:
    named = "; ".join(f"{check.where} ({check.found})" for check in checks[:_NAMED_AT_MOST])
    left = len(checks) - _NAMED_AT_MOST
    return named + (f"; and {left} more" if left > 0 else "")
