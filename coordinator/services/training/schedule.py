"""What is due for the cells that policies govern: a pure decision over how each of them stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeAlias

LEAST_CAPTURE: Final = timedelta(seconds=4)
"""Less than a segment is not worth an order."""


@dataclass(frozen=True)
class ObserverStanding:
    """One observer that may be asked for data: how much fits into what is left of its budget for today."""

    observer_id: str
    room: timedelta
    capturing: bool = False


@dataclass(frozen=True)
class CellStanding:
    """How one cell stands. Texts are for people, and empty where there is nothing to say."""

    cell_id: str
    student_data: timedelta
    student_lifetime: timedelta | None
    refit_on_drift: bool
    teacher: bool
    student_age: timedelta | None = None
    drift: str = ""
    busy: str = ""
    """What goes on already, such as "runs/r-1 is queued"."""
    rest: timedelta = timedelta()
    """How long nothing is to be ordered after a run that came to nothing."""
    incident: str = ""
    """An incident that nobody has judged, such as "incidents/i-1"."""
    clean: timedelta = timedelta()
    """What may train of what the student has not seen; of everything, where there is no student."""
    observers: tuple[ObserverStanding, ...] = ()


@dataclass(frozen=True)
class Wait:
    """Nothing is to be done now."""

    cell_id: str
    why: str


@dataclass(frozen=True)
class Train:
    """A student is to be ordered."""

    cell_id: str
    why: str


@dataclass(frozen=True)
class Capture:
    """Observers are to send more data: each its share."""

    cell_id: str
    why: str
    shares: dict[str, timedelta]


Decision: TypeAlias = Wait | Train | Capture


def decide(standings: Sequence[CellStanding], *, open_runs: int, limit: int) -> list[Decision]:
    """Return one decision for each cell. At most so many runs are open then; cells without a student go first."""
    decisions: list[Decision] = []
    for standing in sorted(standings, key=_urgency):
        decision = _decide(standing)
        if isinstance(decision, Train):
            if open_runs >= limit:
                decision = Wait(standing.cell_id, f"{decision.why}; {open_runs} runs are open, and {limit} may be")
            else:
                open_runs += 1
        decisions.append(decision)
    return decisions


def _urgency(standing: CellStanding) -> tuple[bool, bool, timedelta, str]:
    age = standing.student_age or timedelta()
    return standing.student_age is not None, not standing.drift, -age, standing.cell_id


def need_of(standing: CellStanding) -> str:
    """Return why a cell needs a student; empty where it needs none."""
    if standing.student_age is None:
        return "it has no student"
    if standing.refit_on_drift and standing.drift:
        return f"its student drifted ({standing.drift})"
    if standing.student_lifetime is not None and standing.student_age > standing.student_lifetime:
        return f"its student is {_hours(standing.student_age)} old"
    return ""


def _decide(standing: CellStanding) -> Decision:
    need = need_of(standing)
    if not need:
        return Wait(standing.cell_id, "its student is as it should be")
    if obstacle := _obstacle(standing):
        return Wait(standing.cell_id, f"{need}; {obstacle}")
    if standing.clean >= standing.student_data:
        return Train(standing.cell_id, need)
    return _ask_for_data(standing, need)


def _obstacle(standing: CellStanding) -> str:
    if standing.busy:
        return standing.busy
    if not standing.teacher:
        return "no teacher is in force that it could start from"
    if standing.rest > timedelta():
        return f"the last run came to nothing, so the next one waits another {_hours(standing.rest)}"
    if standing.incident and standing.student_age is not None:
        return f"{standing.incident} is to be judged first, so that nothing unusual is learnt as normal"
    return ""


def _ask_for_data(standing: CellStanding, need: str) -> Decision:
    missing = standing.student_data - standing.clean
    short = f"{need}; {standing.clean.total_seconds():.0f} s of {standing.student_data.total_seconds():.0f} s are clean"
    if any(observer.capturing for observer in standing.observers):
        return Wait(standing.cell_id, f"{short}, and more was asked for")
    shares = share_out(missing, {observer.observer_id: observer.room for observer in standing.observers})
    if not shares:
        return Wait(standing.cell_id, f"{short}, and no trusted observer has room for more today")
    return Capture(standing.cell_id, short, shares)


def share_out(missing: timedelta, room: dict[str, timedelta]) -> dict[str, timedelta]:
    """Split what is missing evenly, but ask nobody for more than it has room for, nor for less than a segment."""
    shares: dict[str, timedelta] = {}
    left = missing
    able = sorted((space, observer) for observer, space in room.items() if space >= LEAST_CAPTURE)
    for place, (space, observer) in enumerate(able):
        if left <= timedelta():
            break
        even = left / (len(able) - place)
        shares[observer] = min(space, max(even, LEAST_CAPTURE))
        left -= shares[observer]
    return shares


def _hours(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:.1f} hours" if hours >= 1 else f"{span.total_seconds():.0f} s"
