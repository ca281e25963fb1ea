"""What half a second of local data is worth: no student, a network of its own, Adam, and the exact solution."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch

from bandwatch.errors import InvalidArgumentError
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.fits import (
    FAMILIES,
    STUDENT_STRIDE,
    check_families,
    fit_by_adam,
    fit_teacher,
)
from training_worker.evaluation.injection import anomalies_of
from training_worker.evaluation.judging import errors_on, judge_of
from training_worker.evaluation.rates import exceeding
from training_worker.evaluation.recordings import Codes, Recording, check_one_rate, check_unheard, split
from training_worker.evaluation.telling import Say
from training_worker.evaluation.thresholds import NOMINAL_RATE, detection_costs, false_alarms, threshold_of
from training_worker.learning import exact, networks
from training_worker.learning.calibration import LeftOver, calibrate, errors_db, left_over, needed_seconds
from training_worker.learning.dataset import Indices, WindowSet
from training_worker.learning.fit import FitOptions
from training_worker.learning.networks import HybridPredictor, LstmConfig, Predictor
from training_worker.learning.reduced import fit_reduced
from training_worker.recipes.teacher import HELD_OUT_FOLD

METHODS: Final = ("cross", "self", "sgd", "exact")
"""Ways to a student: the unadapted teacher; an LSTM predictor from scratch on the local data; the exact student's own
network with its dense layer fitted by Adam; and the exact student, of the better of the families that keep the
teacher's body."""
JUDGED_STRIDE: Final = 9
"""Frames between the starts of the windows that all of them are judged on."""
SELF_PATIENCE: Final = 15
SGD_PATIENCE: Final = 10
"""Epochs without a better one after which Adam ends."""
_COST_KINDS: Final = ("qpsk-200khz", "ofdm-1mhz")
_COST_SIRS_DB: Final = (0.0, 10.0)
_COST_OFFSET_HZ: Final = 50e3


@dataclass(frozen=True)
class TransferOptions:
    """How students are made and compared.

    Attributes:
        local_s: Seconds at the beginning of each recording that students are fitted on.
        frozen_layers: Layers, counted from the input, that keep the teacher's weights.
        teacher_epochs: Most epochs of the teacher.
        self_epochs: Most epochs of a network from scratch.
        sgd_epochs: Most epochs of Adam from the teacher's weights.
        families: Families of exact students. Of those that keep the teacher's body the one with the lowest error on
            left-out blocks is `exact`; a linear one of its own is told beside it.
        seed: Deals blocks of time to folds, orders windows, and makes first weights.
    """

    local_s: float = 0.5
    frozen_layers: int = LstmConfig.layers
    teacher_epochs: int = 20
    self_epochs: int = 150
    sgd_epochs: int = 100
    families: tuple[str, ...] = FAMILIES
    seed: int = 0

    @property
    def all_frozen(self) -> bool:
        """Whether nothing but the dense layer is refitted."""
        return self.frozen_layers == LstmConfig.layers

    @property
    def sgd(self) -> FitOptions:
        """How Adam goes on from given weights."""
        return FitOptions(self.sgd_epochs, self.seed, self.frozen_layers, patience_epochs=SGD_PATIENCE)


@dataclass(frozen=True, eq=False)
class Transfer:
    """What was found on one recording.

    Attributes:
        recording: Its name.
        errors_db: Mean and deviation of the error on the rest, by `METHODS` and by family of the exact student.
        seconds: What each method took, and parts of it.
        false_alarms: As `thresholds.false_alarms` returns them, for the exact student.
        further: More, as JSON can hold it.
    """

    recording: str
    errors_db: Mapping[str, tuple[float, float]]
    seconds: Mapping[str, float]
    false_alarms: Mapping[str, float]
    further: Mapping[str, Any]

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it: errors as [mean, deviation] in dB."""
        errors = {name: list(self.errors_db[name]) for name in METHODS}
        families = {name: list(self.errors_db[name]) for name in networks.FAMILIES if name in self.errors_db}
        found = {"recording": self.recording, **errors, "seconds": dict(self.seconds), "far": dict(self.false_alarms)}
        return found | {"families": families} | dict(self.further)


@dataclass(frozen=True, eq=False)
class _Student:
    """An exact student, the network whose dense layer was solved for it, and what was and was not fitted.

    Attributes:
        start: The network; that of a linear student of its own knows its combinations, and nothing in its dense layer.
        predictor: The student.
        rest: What it leaves over of windows that it was not fitted on.
        fitted: Windows that it was fitted on.
    """

    start: Predictor
    predictor: Predictor
    rest: LeftOver
    fitted: Indices


def compare(
    teachers: Sequence[Recording], students: Sequence[Recording], options: TransferOptions, say: Say
) -> Iterator[Transfer]:
    """Yield for each student recording what each way to a student achieves on the rest of it.

    Raises:
        InvalidArgumentError: The recordings do not go together, there is no such family, or as many layers cannot be
            frozen.
        FailedPreconditionError: A recording is too short.
    """
    check_one_rate([*teachers, *students])
    check_unheard(teachers, students)
    check_families(options.families)
    if not 0 <= options.frozen_layers <= LstmConfig.layers:
        raise InvalidArgumentError(f"the teacher has {LstmConfig.layers} layers that can be frozen: choose 0 to 2")
    for recording in students:
        WindowSet.cut([split(recording, options.local_s)[0]], STUDENT_STRIDE, options.seed)
    seconds: dict[str, float] = {}
    with _timed(seconds, "teacher"):
        teacher = fit_teacher([one.codes for one in teachers], options.teacher_epochs, options.seed, say)
    for recording in students:
        yield compare_on(recording, teacher, seconds, options, say)


def compare_on(
    recording: Recording, teacher: HybridPredictor, teacher_s: Mapping[str, float], options: TransferOptions, say: Say
) -> Transfer:
    """Return what each way from a teacher to a student achieves on one recording; `teacher_s` goes into its seconds."""
    local, later = split(recording, options.local_s)
    windows = WindowSet.cut([local], STUDENT_STRIDE, options.seed)
    seconds = {"cross": 0.0, **teacher_s}
    students = _exact_students(teacher, windows, options, seconds, say)
    best = sorted(students, key=lambda name: float(students[name].rest.error_db.mean()))
    family = next((name for name in best if _start_of(teacher, name) is not None), best[0])
    student = students[family]
    compared = {"cross": teacher, "exact": student.predictor}
    compared |= {name: one.predictor for name, one in students.items()}
    compared |= _by_adam(teacher.config, student.start, windows, options, seconds, say)
    seconds |= _seconds_of(family, seconds)
    told: dict[str, Any] = {"frozen_layers": options.frozen_layers, "family": family, "lowest_family": best[0]}
    if not options.all_frozen:
        told["exact_is"] = "the exact dense layer, and from there Adam on all layers that are not frozen"
    errors = {name: _spread_on(later, predictor) for name, predictor in compared.items()}
    false_alarms_found, thresholds_told = _judged(recording, windows, student, options, seconds, say)
    return Transfer(recording.name, errors, seconds, false_alarms_found, told | thresholds_told)


def _exact_students(
    teacher: HybridPredictor, windows: WindowSet, options: TransferOptions, seconds: dict[str, float], say: Say
) -> dict[str, _Student]:
    """Return a student of every family; where layers of the body are free, of the teacher's only."""
    students = {}
    for family in options.families if options.all_frozen else (teacher.family,):
        say(f"solving {family}")
        start = _start_of(teacher, family)
        if start is None:
            with _timed(seconds, "linear of its own"):
                own = fit_reduced(windows, lambda _: None)
            blank = exact.with_dense(own.predictor, torch.zeros_like(exact.dense_of(own.predictor)))
            students[family] = _Student(blank, own.predictor, own.rest, np.arange(len(windows)))
            continue
        with _timed(seconds, f"features {family}"):
            regression = exact.regress(start, windows, lambda _: None)
        with _timed(seconds, f"exact {family}"):
            solution = exact.fit_exactly(regression, exact.dense_of(start))
        if options.all_frozen:
            rest = exact.left_over(regression, solution.left_out)
            solved = exact.with_dense(start, solution.dense)
            students[family] = _Student(start, solved, rest, np.arange(len(windows)))
        else:
            begun = exact.with_dense(start, solution.left_out[HELD_OUT_FOLD])
            students[family] = _refitted(start, begun, windows, options, seconds, say)
    return students


def _start_of(teacher: HybridPredictor, family: str) -> Predictor | None:
    """Return what of the teacher a student of a family keeps the body of; nothing for a linear one."""
    match family:
        case networks.HYBRID:
            return teacher
        case networks.LSTM:
            return networks.lstm_of(teacher)
        case _:
            return None


def _refitted(
    start: Predictor,
    begun: Predictor,
    windows: WindowSet,
    options: TransferOptions,
    seconds: dict[str, float],
    say: Say,
) -> _Student:
    with _timed(seconds, "adam_after_exact"):
        refitted = fit_by_adam(begun, windows, options.sgd, "the layers that are not frozen", say)
    rest = left_over(refitted, windows, windows.held_out(HELD_OUT_FOLD), lambda _: None)
    return _Student(start, refitted, rest, windows.fitted(HELD_OUT_FOLD))


def _by_adam(
    config: LstmConfig,
    start: Predictor,
    windows: WindowSet,
    options: TransferOptions,
    seconds: dict[str, float],
    say: Say,
) -> dict[str, Predictor]:
    """Return an LSTM predictor from scratch, and the network that the exact student starts from, refitted by Adam."""
    with _timed(seconds, "self"):
        scratch = networks.new_predictor(config, options.seed)
        patient = FitOptions(options.self_epochs, options.seed, patience_epochs=SELF_PATIENCE)
        own = fit_by_adam(scratch, windows, patient, "a network from scratch", say)
    refit = replace(options.sgd, frozen_layers=min(options.frozen_layers, start.body_layers))
    with _timed(seconds, "sgd"):
        refitted = fit_by_adam(start, windows, refit, "the same layers by Adam", say)
    return {"self": own, "sgd": refitted}


def _seconds_of(family: str, seconds: Mapping[str, float]) -> dict[str, float]:
    """Return what the exact student of a family took; a linear one of its own is timed as a whole."""
    solution_s = seconds.get(f"exact {family}", seconds.get("linear of its own", 0.0))
    return {
        "features": seconds.get(f"features {family}", 0.0),
        "exact": solution_s + seconds.get("adam_after_exact", 0.0),
    }


def _judged(
    recording: Recording,
    windows: WindowSet,
    student: _Student,
    options: TransferOptions,
    seconds: dict[str, float],
    say: Say,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Return the false alarms of the exact student, and what else there is to say of its thresholds."""
    with _timed(seconds, "calibration"):
        calibration = calibrate(student.rest)
    judge = judge_of(student.predictor, calibration)
    outputs = judge.outputs(cut_windows(split(recording, options.local_s)[1], JUDGED_STRIDE))
    clean = judge.in_order(outputs, JUDGED_STRIDE)
    fitted_db = errors_db(student.predictor, windows, student.fitted, lambda _: None)
    anomalies = anomalies_of(_COST_KINDS, _COST_SIRS_DB, _COST_OFFSET_HZ, recording.sample_rate_hz, options.seed)
    return false_alarms(judge, clean, fitted_db), {
        "threshold_db": threshold_of(judge, "error").bound,
        "needed_seconds": needed_seconds(student.rest, NOMINAL_RATE),
        "far_by_score": {score: exceeding(clean[score], threshold_of(judge, score).bound) for score in clean},
        "detection_cost": detection_costs(
            recording, options.local_s, judge, (outputs, clean), JUDGED_STRIDE, anomalies, say
        ),
    }


def _spread_on(codes: Codes, predictor: Predictor) -> tuple[float, float]:
    errors = errors_on(predictor, codes, JUDGED_STRIDE).astype(np.float64)
    return float(errors.mean()), float(errors.std())


@contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[what] = time.perf_counter() - begin
