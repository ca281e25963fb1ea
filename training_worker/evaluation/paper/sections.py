"""What a page shows: sections with tables, figures, sentences and claims, before they are written in any form."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training_worker.evaluation.paper.claims import Claim
from training_worker.evaluation.paper.jobs import Arrays, Job
from training_worker.evaluation.paper.plan import Plan

NOT_STATED: Final = "not stated"
"""In place of a value of the paper that this project does not have."""
_PERCENT_WITHOUT_TENTHS: Final = 0.1

Found = Callable[[Job], Arrays]
"""Gives what a job made."""


@dataclass(frozen=True)
class Decibels:
    """An error in dB: its mean, and its deviation from window to window."""

    mean: float
    deviation: float | None = None

    def __str__(self) -> str:
        deviation = "" if self.deviation is None else f" ({self.deviation:.2f})"
        return f"{self.mean:.2f}{deviation}"


@dataclass(frozen=True)
class Share:
    """A part of a whole, 0 to 1."""

    share: float

    def __str__(self) -> str:
        digits = 0 if self.share >= _PERCENT_WITHOUT_TENTHS or self.share == 0 else 1
        return f"{100 * self.share:.{digits}f} %"


@dataclass(frozen=True)
class Area:
    """An area under a receiver operating characteristic, 0 to 1."""

    area: float

    def __str__(self) -> str:
        return f"{self.area:.3f}"


Value = str | Decibels | Share | Area
"""What stands in a table."""


@dataclass(frozen=True)
class Table:
    """Rows of values below a head; the first value of each row says what the row is about."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG, what it shows, and its numbers as JSON can hold them."""

    name: str
    caption: str
    svg: str
    numbers: Any = None


@dataclass(frozen=True)
class Section:
    """A table or figure of the paper, and ours beside it.

    Attributes:
        name: As in "Table 1".
        title: What it is about.
        stated: What the paper states.
        tables: Our tables.
        figures: Our figures.
        seen: One or two sentences about what is seen and why.
        claims: What the paper claims, judged.
    """

    name: str
    title: str
    stated: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...]
    seen: str
    claims: tuple[Claim, ...] = field(default=())


@dataclass(frozen=True)
class Experiment:
    """What is needed for a section, and how it becomes one.

    Attributes:
        name: What a person asks for it by.
        jobs: Work to be done.
        section: Makes the section of what was found.
    """

    name: str
    jobs: Callable[[Plan], tuple[Job, ...]]
    section: Callable[[Plan, Found], Section]


def decibels(errors: npt.NDArray[np.float32]) -> Decibels:
    """Return mean and deviation of errors [n] in dB."""
    return Decibels(float(errors.mean(dtype=np.float64)), float(errors.std(dtype=np.float64)))


def change(value: float, reference: float) -> str:
    """Return by how much a value differs from a reference, in words."""
    percent = 100 * (value / reference - 1)
    return f"{abs(percent):.1f} % {'higher' if percent > 0 else 'lower'}"
