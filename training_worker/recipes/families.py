"""The families that a student can be of, each solved exactly on the same windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bandwatch.errors import InvalidArgumentError
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver
from training_worker.learning.dataset import FOLDS, WindowSet
from training_worker.learning.networks import LstmPredictor, Predictor


@dataclass(frozen=True, eq=False)
class Solved:
    """A family with its dense layer solved exactly, and what it and the teacher leave over of the same windows."""

    family: str
    predictor: Predictor
    left_out: dict[int, exact.Dense]
    rest: LeftOver
    unadapted: LeftOver | None


def solved_families(
    parent: Predictor | None, families: Sequence[str], windows: WindowSet, report: Callable[[float], None]
) -> list[Solved]:
    """Return every family of `families`, or all that fit the teacher when none is named, solved on the windows.

    Raises:
        InvalidArgumentError: A family does not fit the teacher.
    """
    possible = _possible(parent)
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
        solved.append(solve_own(parent, windows) if parent is not None and own else _solve_linear(windows))
        report((number + 1) / len(wanted))
    return _judged_by(parent, solved, windows)


def _possible(parent: Predictor | None) -> tuple[str, ...]:
    match parent:
        case None:
            return (networks.LINEAR,)
        case LstmPredictor():
            return (networks.LSTM, networks.LINEAR, networks.HYBRID)
        case networks.LinearPredictor():
            return (networks.LINEAR,)
        case _:
            return (parent.family, networks.LINEAR)


def _solve_beside_lstm(
    parent: LstmPredictor, families: Sequence[str], windows: WindowSet, report: Callable[[float], None]
) -> list[Solved]:
    """Solve a family for each choice of columns of one regression: the hidden state, the lagged powers, or both."""
    units = parent.config.units
    if set(families) == {networks.LSTM}:
        return [solve_own(parent, windows)]
    hybrid = networks.hybrid_of(parent)
    whole = exact.regress(hybrid, windows, report)
    ways: dict[str, tuple[slice, Predictor]] = {
        networks.LSTM: (slice(units), parent),
        networks.LINEAR: (slice(units, None), networks.blank_linear()),
        networks.HYBRID: (slice(None), hybrid),
    }
    solved = [_solve(whole.of_features(ways[family][0]), ways[family][1]) for family in families]
    unadapted = exact.left_over(whole.of_features(slice(units)), dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return [Solved(one.family, one.predictor, one.left_out, one.rest, unadapted) for one in solved]


def solve_own(parent: Predictor, windows: WindowSet) -> Solved:
    """Return a teacher's own family, its dense layer solved on the windows."""
    regression = exact.regress(parent, windows, lambda _: None)
    solved = _solve(regression, parent)
    unadapted = exact.left_over(regression, dict.fromkeys(range(FOLDS), exact.dense_of(parent)))
    return Solved(solved.family, solved.predictor, solved.left_out, solved.rest, unadapted)


def _solve_linear(windows: WindowSet) -> Solved:
    blank = networks.blank_linear()
    return _solve(exact.regress(blank, windows, lambda _: None), blank)


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
