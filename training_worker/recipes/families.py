"""The ways to a student: from its teacher's body, or of its own; each solved exactly on the same windows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bandwatch.errors import InvalidArgumentError
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.networks import Predictor
from training_worker.learning.reduced import fit_reduced
from training_worker.recipes.progress import part_of


@dataclass(frozen=True, eq=False)
class Solved:
    """A student that was solved exactly, and what it and the teacher leave over of the same windows.

    `left_out` are the dense layers without each fold; a linear student of its own has none, as its body changes too.
    """

    family: str
    predictor: Predictor
    left_out: Mapping[int, exact.Dense]
    rest: LeftOver
    unadapted: LeftOver | None
    has_teacher: bool


def families_left(parent: Predictor | None, frozen: int, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the families to choose among: with a layer before the dense one free, only the teacher's own is left.

    Raises:
        InvalidArgumentError: The teacher's own family is not wanted.
    """
    if parent is None or frozen == parent.body_layers:
        return wanted
    if wanted and parent.family not in wanted:
        raise InvalidArgumentError(
            f"with {frozen} frozen layers a student is of its teacher's family, {parent.family}: "
            f"freeze all {parent.body_layers} to choose among {', '.join(wanted)}"
        )
    return (parent.family,)


def solved_families(
    parent: Predictor | None, families: Sequence[str], windows: WindowSet, report: Callable[[float], None]
) -> list[Solved]:
    """Return every way to a student of the wanted families, or the usual ones when none is named, solved on windows.

    The teacher's own family keeps the teacher's body. A linear student of its own needs no teacher. A hybrid can also
    have a student of the LSTM predictor in it, if that is asked for.

    Raises:
        InvalidArgumentError: A family does not fit the teacher.
    """
    possible = possible_families(parent)
    for family in families:
        if family not in possible:
            start = "without a teacher" if parent is None else f"from a teacher of the family {parent.family}"
            raise InvalidArgumentError(f"no student of the family {family} {start}: choose {', '.join(possible)}")
    starts: list[Predictor | None] = [] if parent is None or _unwanted(parent.family, families) else [parent]
    if isinstance(parent, networks.HybridPredictor) and networks.LSTM in families:
        starts.append(networks.lstm_of(parent))
    if not _unwanted(networks.LINEAR, families):
        starts.append(None)
    solved = [solve_from(start, windows, part_of(report, number, len(starts))) for number, start in enumerate(starts)]
    return solved if parent is None else _judged_by(parent, solved, windows)


def possible_families(parent: Predictor | None) -> tuple[str, ...]:
    """Return the families that a student of a teacher, or of none, can be of."""
    match parent:
        case None | networks.LinearPredictor():
            return (networks.LINEAR,)
        case networks.HybridPredictor():
            return (networks.HYBRID, networks.LSTM, networks.LINEAR)
        case _:
            return (parent.family, networks.LINEAR)


def solve_from(parent: Predictor | None, windows: WindowSet, report: Callable[[float], None]) -> Solved:
    """Return a teacher's own family with its dense layer solved; without a teacher a linear predictor of its own."""
    if parent is None:
        reduced = fit_reduced(windows, report)
        return Solved(networks.LINEAR, reduced.predictor, {}, reduced.rest, None, has_teacher=False)
    regression = exact.regress(parent, windows, report)
    solution = exact.fit_exactly(regression, exact.dense_of(parent))
    return Solved(
        parent.family,
        exact.with_dense(parent, solution.dense),
        solution.left_out,
        exact.left_over(regression, solution.left_out),
        exact.left_over(regression, dict.fromkeys(range(FOLDS), exact.dense_of(parent))),
        has_teacher=True,
    )


def _unwanted(family: str, families: Sequence[str]) -> bool:
    return bool(families) and family not in families


def _judged_by(parent: Predictor, solved: list[Solved], windows: WindowSet) -> list[Solved]:
    """Give every way the teacher's own leftovers to be compared with."""
    known = next((one.unadapted for one in solved if one.has_teacher and one.family == parent.family), None)
    if known is None:
        regression = exact.regress(parent, windows, lambda _: None)
        known = exact.left_over(regression, dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return [replace(one, unadapted=known) for one in solved]
