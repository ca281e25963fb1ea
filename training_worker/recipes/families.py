"""The families that a student can be of, each solved exactly on the same windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bandwatch.errors import InvalidArgumentError
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.networks import LstmPredictor, Predictor
from training_worker.recipes.progress import part_of


@dataclass(frozen=True, eq=False)
class Solved:
    """A family with its dense layer solved exactly, and what it and the teacher leave over of the same windows."""

    family: str
    predictor: Predictor
    left_out: dict[int, exact.Dense]
    rest: LeftOver
    unadapted: LeftOver | None


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


def starts_from(parent: Predictor | None, family: str) -> bool:
    """Return whether a student of a family has anything of its teacher; a linear one has only of a linear teacher."""
    return parent is not None and (family != networks.LINEAR or parent.family == networks.LINEAR)


def solved_families(
    parent: Predictor | None, families: Sequence[str], windows: WindowSet, report: Callable[[float], None]
) -> list[Solved]:
    """Return every family of `families`, or all that fit the teacher when none is named, solved on the windows.

    Raises:
        InvalidArgumentError: A family does not fit the teacher.
    """
    possible = possible_families(parent)
    wanted = tuple(families) or possible
    for family in wanted:
        if family not in possible:
            start = "without a teacher" if parent is None else f"from a teacher of the family {parent.family}"
            raise InvalidArgumentError(f"no student of the family {family} {start}: choose {', '.join(possible)}")
    if isinstance(parent, LstmPredictor):
        return _solve_beside_lstm(parent, wanted, windows, report)
    solved = []
    for number, family in enumerate(wanted):
        own = parent is not None and family == parent.family
        hears = part_of(report, number, len(wanted))
        solved.append(
            solve_own(parent, windows, hears) if parent is not None and own else _solve_linear(windows, hears)
        )
    return _judged_by(parent, solved, windows)


def possible_families(parent: Predictor | None) -> tuple[str, ...]:
    """Return the families that a student of a teacher, or of none, can be of."""
    match parent:
        case None:
            return (networks.LINEAR,)
        case LstmPredictor():
            return (networks.LSTM, networks.LINEAR, networks.HYBRID)
        case networks.LinearPredictor():
            return (networks.LINEAR,)
        case _:
            return (parent.family, networks.LINEAR)


def ways_from_lstm(parent: LstmPredictor) -> dict[str, tuple[slice, Predictor]]:
    """Return for each family the features of the hybrid that it sees, and the network that it starts from."""
    units = parent.config.units
    return {
        networks.LSTM: (slice(units), parent),
        networks.LINEAR: (slice(units, None), networks.blank_linear()),
        networks.HYBRID: (slice(None), networks.hybrid_of(parent)),
    }


def _solve_beside_lstm(
    parent: LstmPredictor, families: Sequence[str], windows: WindowSet, report: Callable[[float], None]
) -> list[Solved]:
    """Solve a family for each choice of columns of one regression: the hidden state, the lagged powers, or both."""
    if set(families) == {networks.LSTM}:
        return [solve_own(parent, windows, report)]
    ways = ways_from_lstm(parent)
    units = parent.config.units
    whole = exact.regress(ways[networks.HYBRID][1], windows, report)
    solved = [_solve(whole.of_features(ways[family][0]), ways[family][1]) for family in families]
    unadapted = exact.left_over(whole.of_features(slice(units)), dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return [Solved(one.family, one.predictor, one.left_out, one.rest, unadapted) for one in solved]


def solve_own(parent: Predictor, windows: WindowSet, report: Callable[[float], None]) -> Solved:
    """Return a teacher's own family, its dense layer solved on the windows."""
    regression = exact.regress(parent, windows, report)
    solved = _solve(regression, parent)
    unadapted = exact.left_over(regression, dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return Solved(solved.family, solved.predictor, solved.left_out, solved.rest, unadapted)


def _solve_linear(windows: WindowSet, report: Callable[[float], None]) -> Solved:
    blank = networks.blank_linear()
    return _solve(exact.regress(blank, windows, report), blank)


def _solve(regression: exact.Regression, start: Predictor) -> Solved:
    solution = exact.fit_exactly(regression, exact.dense_of(start))
    rest = exact.left_over(regression, solution.left_out)
    return Solved(start.family, exact.with_dense(start, solution.dense), solution.left_out, rest, None)


def _judged_by(parent: Predictor | None, solved: list[Solved], windows: WindowSet) -> list[Solved]:
    """Give every family the teacher's own leftovers to be compared with."""
    known = next((one.unadapted for one in solved if one.unadapted is not None), None)
    if known is None and parent is not None:
        regression = exact.regress(parent, windows, lambda _: None)
        known = exact.left_over(regression, dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return [Solved(one.family, one.predictor, one.left_out, one.rest, known) for one in solved]
