"""How much of each anomaly every method detects in real recordings, at stated false-alarm rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.fits import FAMILIES, STUDENT_STRIDE, check_families, fit_teacher
from training_worker.evaluation.injection import (
    MODES,
    STANDING,
    SUDDEN,
    Injected,
    anomalies_of,
    begun_frames,
    standing_frames,
    sudden_windows,
)
from training_worker.evaluation.methods import AUTO, Method, baseline_methods, student_methods
from training_worker.evaluation.rates import PARTIAL, ROC_RATES, area, detections, exceeding
from training_worker.evaluation.recordings import Codes, Recording, check_one_rate, check_unheard, split
from training_worker.evaluation.telling import Say
from training_worker.learning.calibration import FALSE_ALARM_RATES
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import HybridPredictor

DEFAULT_FAMILIES: Final = (AUTO, *FAMILIES)
"""Families of students that are compared unless others are asked for."""
JUDGED_STRIDE: Final = 5
"""Frames between the starts of the windows that everything is judged on; every fifth has target frames of its own."""

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DetectionOptions:
    """What is compared.

    Attributes:
        kinds: Kinds of anomalies (`bandwatch.lte.anomalies.kinds.KINDS`).
        sirs_db: Power of the cell over that of the interference.
        local_s: Seconds at the beginning of each recording that students are fitted on.
        families: Families of students, and "auto" for the one that a student's recipe takes.
        offset_hz: Where interference lies (`bandwatch.lte.anomalies.timetable.Anomaly`).
        teacher_epochs: Most epochs of the teacher.
        seed: Deals blocks of time to folds, orders windows, and makes anomalies.
    """

    kinds: tuple[str, ...]
    sirs_db: tuple[float, ...] = ()
    local_s: float = 0.5
    families: tuple[str, ...] = DEFAULT_FAMILIES
    offset_hz: float = 50e3
    teacher_epochs: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Detection:
    """How well one score of one method detects one anomaly in one recording.

    Attributes:
        recording: Its name.
        family: The family of the student, or the simple method.
        score: The score.
        injected: The anomaly.
        mode: "standing" or "sudden".
        matched: Detection rate at each rate of `ROC_RATES`, thresholds matched on the clean rest.
        default: By each nominal rate, the detection rate at the default threshold, and the false-alarm rate there.
        area: Area under the receiver operating characteristic.
        partial_area: Mean detection rate over false-alarm rates up to `rates.PARTIAL`.
    """

    recording: str
    family: str
    score: str
    injected: Injected
    mode: str
    matched: tuple[float, ...]
    default: tuple[tuple[float, float], ...]
    area: float
    partial_area: float

    def plain(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        rates = [
            {"false_alarm_rate": rate, "matched": self.matched_at(rate), "default": detected, "realised": realised}
            for rate, (detected, realised) in zip(FALSE_ALARM_RATES, self.default, strict=True)
        ]
        return {
            "recording": self.recording,
            "family": self.family,
            "score": self.score,
            "kind": self.injected.kind,
            "sir_db": self.injected.sir_db,
            "mode": self.mode,
            "rates": rates,
            "roc": [list(point) for point in zip(ROC_RATES, self.matched, strict=True)],
            "auc": self.area,
            f"auc_to_{PARTIAL:g}": self.partial_area,
        }

    def matched_at(self, rate: float) -> float:
        """Return the detection rate at one of `ROC_RATES`."""
        return self.matched[ROC_RATES.index(rate)]

    def default_at(self, rate: float) -> tuple[float, float]:
        """Return detection and false-alarm rate at the default threshold for one of `FALSE_ALARM_RATES`."""
        return self.default[FALSE_ALARM_RATES.index(rate)]


@dataclass(frozen=True)
class OnRecording:
    """What was found on one recording, and the family that "auto" stood for."""

    recording: str
    auto: str | None
    detections: tuple[Detection, ...]


def detect(
    teachers: Sequence[Recording], recordings: Sequence[Recording], options: DetectionOptions, say: Say
) -> Iterator[OnRecording]:
    """Yield for each recording what students and simple methods detect on the rest of it.

    Raises:
        InvalidArgumentError: The recordings do not go together, or a kind or a family is unknown.
        FailedPreconditionError: A recording is too short.
    """
    check_one_rate([*teachers, *recordings])
    check_unheard(teachers, recordings)
    check_families([family for family in options.families if family != AUTO])
    rate_hz = recordings[0].sample_rate_hz
    anomalies = anomalies_of(options.kinds, options.sirs_db, options.offset_hz, rate_hz, options.seed)
    for recording in recordings:
        WindowSet.cut([split(recording, options.local_s)[0]], STUDENT_STRIDE, options.seed)
    teacher = fit_teacher([one.codes for one in teachers], options.teacher_epochs, options.seed, say)
    for recording in recordings:
        yield detect_on(recording, teacher, anomalies, options, say)


def detect_on(
    recording: Recording, teacher: HybridPredictor, anomalies: Sequence[Injected], options: DetectionOptions, say: Say
) -> OnRecording:
    """Return what students of a teacher and simple methods detect on one recording."""
    local, later = split(recording, options.local_s)
    clean = cut_windows(later, JUDGED_STRIDE)
    windows = WindowSet.cut([local], STUDENT_STRIDE, options.seed)
    students, taken = student_methods(teacher, windows, options.families, clean, JUDGED_STRIDE, say)
    methods = [*students, *baseline_methods(windows, clean, say)]
    found: list[Detection] = []
    for injected in anomalies:
        by_mode = _windows_of(recording, clean, options.local_s, injected)
        for mode in MODES:
            for method in methods:
                say(f"{recording.name}: {injected.label}, {mode}, {method.name}")
                found += _detections(recording.name, method, injected, mode, by_mode[mode])
    return OnRecording(recording.name, taken, tuple(found))


def _windows_of(recording: Recording, clean: Codes, local_s: float, injected: Injected) -> dict[str, Codes]:
    standing = standing_frames(recording, local_s, injected)
    begun = begun_frames(recording, local_s, injected, standing)
    return {
        STANDING: cut_windows(standing, JUDGED_STRIDE),
        SUDDEN: sudden_windows(clean, cut_windows(begun, JUDGED_STRIDE), injected.seed),
    }


def _detections(recording: str, method: Method, injected: Injected, mode: str, windows: Codes) -> Iterator[Detection]:
    scores = method.standing(windows) if mode == STANDING else method.sudden(windows)
    for score, values in scores.items():
        clean = method.clean[score]
        thresholds = [method.default_threshold(score, rate) for rate in FALSE_ALARM_RATES]
        yield Detection(
            recording=recording,
            family=method.name,
            score=score,
            injected=injected,
            mode=mode,
            matched=tuple(detections(clean, values, ROC_RATES)),
            default=tuple((exceeding(values, threshold), exceeding(clean, threshold)) for threshold in thresholds),
            area=area(clean, values),
            partial_area=area(clean, values, PARTIAL),
        )
