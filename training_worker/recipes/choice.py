"""Which teacher a student starts from, by errors on blocks of time that were left out; and how choices are recorded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.manifest import Candidate
from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.bands import FRAME_SECONDS
from training_worker.learning.calibration import error_statistics
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.networks import Predictor
from training_worker.recipes.families import Solved, possible_families, solve_from
from training_worker.recipes.progress import part_of

JUDGED_S: Final = 60.0
"""Seconds of local data that every candidate teacher is judged on."""

Codes = npt.NDArray[np.uint8]


def chosen_teacher(
    teachers: Mapping[str, Predictor],
    segments: Sequence[Codes],
    stride_frames: int,
    seed: int,
    report: Callable[[float], None],
) -> tuple[str | None, tuple[Candidate, ...], str]:
    """Return the teacher that a refit brings lowest on one minute of data, every one that was tried, and a sentence.

    A single teacher is taken untried, and without teachers there is none.
    """
    if len(teachers) <= 1:
        return next(iter(teachers), None), (), ""
    windows = WindowSet.cut(first_seconds(segments, JUDGED_S), stride_frames, seed)
    tried: list[Candidate] = []
    for number, (name, teacher) in enumerate(teachers.items()):
        one = solve_from(teacher, windows, part_of(report, number, len(teachers)))
        tried.append(candidate(one, name))
    ranked = sorted(tried, key=lambda candidate: candidate.error.mean_db)
    return ranked[0].teacher, tuple(tried), _why(ranked)


def suitable_teachers(teachers: Mapping[str, Predictor], families: Sequence[str]) -> dict[str, Predictor]:
    """Return the teachers that can have a student of every family named.

    Raises:
        InvalidArgumentError: There are teachers, and none of them can.
    """
    suitable = {name: one for name, one in teachers.items() if set(families) <= set(possible_families(one))}
    if teachers and not suitable:
        raise InvalidArgumentError(
            f"none of {', '.join(teachers)} can have a student of the family {' or '.join(families)}: "
            "name another teacher, or leave the family open"
        )
    return suitable


def candidate(one: Solved, teacher: str | None) -> Candidate:
    """Return what a manifest says of a family that was tried, and of the teacher that it starts from."""
    return Candidate(
        family=one.family,
        teacher=teacher,
        error=error_statistics(one.rest.error_db),
        unadapted_error=None if one.unadapted is None else error_statistics(one.unadapted.error_db),
    )


def why_lowest(best: Solved, solved: Sequence[Solved]) -> str:
    """Say in a sentence why a family was taken; nothing where there was no choice."""
    if len(solved) == 1:
        return ""
    errors = ", ".join(f"{_words(one)} {one.rest.error_db.mean():.3f} dB" for one in solved)
    return f"{_words(best)} has the lowest error on {FOLDS} left-out folds of time: {errors}."


def _words(one: Solved) -> str:
    return one.family if one.has_teacher else f"{one.family} of its own"


def first_seconds(segments: Sequence[Codes], seconds: float) -> list[Codes]:
    """Return segments up to so many seconds in all; the last one may be cut short."""
    left = round(seconds / FRAME_SECONDS)
    taken = []
    for segment in segments:
        taken.append(segment[: max(left, 0)])
        left -= len(segment)
    return [segment for segment in taken if len(segment)]


def _why(ranked: Sequence[Candidate]) -> str:
    best, second = ranked[0], ranked[1]
    won = second.error.mean_db - best.error.mean_db
    lowest = min(ranked, key=lambda one: one.unadapted_error.mean_db if one.unadapted_error else np.inf)
    agreed = "" if lowest is best else f" (unadapted, {lowest.teacher} is lowest)"
    return (
        f"Of {len(ranked)} teachers, {best.teacher} is lowest after a refit on {JUDGED_S:g} s or less: "
        f"{best.error.mean_db:.3f} dB, {won:.3f} dB before {second.teacher}{agreed}."
    )
