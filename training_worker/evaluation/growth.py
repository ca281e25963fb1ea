"""How students of each family get better as local data grow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandwatch.artifacts.manifest import ErrorStatistics
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.fits import FAMILIES, STUDENT_STRIDE
from training_worker.evaluation.judging import Codes, Judge, judge_of
from training_worker.evaluation.rates import exceeding, matched_threshold
from training_worker.evaluation.telling import Say
from training_worker.evaluation.thresholds import NOMINAL_RATE, threshold_of
from training_worker.learning.calibration import calibrate, error_statistics
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import HybridPredictor
from training_worker.recipes.choice import first_seconds
from training_worker.recipes.families import solved_families


@dataclass(frozen=True)
class Grown:
    """A student of one family from so many seconds of local data.

    Attributes:
        seconds: Local data that it was fitted on.
        family: Its family.
        error: Its errors in dB on the clean windows.
        left_out: Its errors on left-out blocks of the local data, by which a recipe chooses the family.
        detected: By anomaly and score, the detection rate at a threshold that 1 % of the clean windows exceed.
        false_alarms: By score, the realised rate of the default threshold for 1 % on the clean windows.
    """

    seconds: float
    family: str
    error: ErrorStatistics
    left_out: ErrorStatistics
    detected: Mapping[str, Mapping[str, float]]
    false_alarms: Mapping[str, float]


def growth(
    teacher: HybridPredictor,
    local: Sequence[Codes],
    clean: Sequence[Codes],
    anomalous: Mapping[str, Codes],
    seconds: Sequence[float],
    *,
    clean_stride: int = 25,
    stride_frames: int = STUDENT_STRIDE,
    families: Sequence[str] = FAMILIES,
    seed: int = 0,
    say: Say = lambda _: None,
) -> list[Grown]:
    """Return a student of every family from every amount of local data, in that order.

    Windows are judged each by itself, as right after a gap: so the score "standing" is "band" here.

    Args:
        teacher: What the students start from.
        local: Segments uint8 [frames, 128] whose first seconds students are fitted on.
        clean: Segments uint8 [frames, 128] in which nothing unusual happens.
        anomalous: Windows uint8 [n, 125, 128] by the name of their anomaly.
        seconds: Amounts of local data; where the segments hold less, all of it is taken.
        clean_stride: Frames between the starts of clean windows.
        stride_frames: Frames between the starts of local windows.
        families: Which families.
        seed: Deals blocks of time to folds.
        say: Hears where the work is.

    Raises:
        FailedPreconditionError: The segments hold too little data.
    """
    windows = np.concatenate([cut_windows(segment, clean_stride) for segment in clean])
    grown = []
    for amount in seconds:
        say(f"students from {amount:g} s")
        heard = WindowSet.cut(first_seconds(local, amount), stride_frames, seed)
        for one in solved_families(teacher, families, heard, lambda _: None):
            judge = judge_of(one.predictor, calibrate(one.rest))
            left_out = error_statistics(one.rest.error_db)
            grown.append(_judged(amount, one.family, judge, left_out, windows, anomalous))
    return grown


def _judged(
    seconds: float,
    family: str,
    judge: Judge,
    left_out: ErrorStatistics,
    windows: Codes,
    anomalous: Mapping[str, Codes],
) -> Grown:
    clean = judge.alone(judge.outputs(windows))
    matched = {score: matched_threshold(values, NOMINAL_RATE) for score, values in clean.items()}
    detected = {
        name: {score: exceeding(values, matched[score]) for score, values in judge.alone(judge.outputs(found)).items()}
        for name, found in anomalous.items()
    }
    return Grown(
        seconds=seconds,
        family=family,
        error=error_statistics(clean["error"]),
        left_out=left_out,
        detected=detected,
        false_alarms={score: exceeding(values, threshold_of(judge, score).bound) for score, values in clean.items()},
    )
