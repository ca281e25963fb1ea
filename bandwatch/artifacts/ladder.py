"""The ladder of models: a cell's own student, else its band's teacher, else the global teacher."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Rung(StrEnum):
    """Whose model judges, best first."""

    STUDENT = "student"
    TEACHER = "teacher"
    GLOBAL = "global"


def rung_of(*, band: str | None, cell: str | None) -> Rung:
    """Return the rung that a model stands on, by what it is meant for."""
    if cell:
        return Rung.STUDENT
    return Rung.TEACHER if band else Rung.GLOBAL


def is_meant_for(model_band: str | None, model_cell: str | None, *, band: str, cell: str) -> bool:
    """Tell whether a model may judge in a cell on a band: in its own cell, its own band, or anywhere."""
    if model_cell:
        return model_cell == cell and model_band == band
    return not model_band or model_band == band


def highest(ladder: Iterable[T], stands: Callable[[T], bool]) -> T | None:
    """Return the first of a ladder, best first, that stands; none where none does."""
    return next((rung for rung in ladder if stands(rung)), None)
