"""What the thresholds that a model comes with do on windows that it never heard."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bandwatch.artifacts.manifest import Threshold
from bandwatch.spectrogram.windows import cut_windows
from training_worker.evaluation.injection import Injected, begun_frames, standing_frames, sudden_windows
from training_worker.evaluation.judging import Judge, Outputs, Scores
from training_worker.evaluation.rates import exceeding, matched_threshold
from training_worker.evaluation.recordings import Recording
from training_worker.evaluation.telling import Say

NOMINAL_RATE: Final = 0.01
"""False-alarm rate that a threshold is asked for."""
METHODS: Final = ("bound", "empirical", "gaussian")
"""Ways in which a threshold is calibrated; the first is the default."""

Values = npt.NDArray[np.float32]


def threshold_of(judge: Judge, score: str, rate: float = NOMINAL_RATE) -> Threshold:
    """Return the thresholds of a score for a false-alarm rate."""
    return next(table for table in judge.tables if table.score == score).threshold_for(rate)


def false_alarms(judge: Judge, clean: Scores, fitted_errors_db: Values) -> dict[str, float]:
    """Return the realised rate of the error's thresholds for 1 %, by how they were calibrated.

    "default" is what is used unless something else is asked for. "fitted" is the quantile of the errors of windows
    that the model was fitted on, which shows why that is not done.
    """
    threshold = threshold_of(judge, "error")
    realised = {method: exceeding(clean["error"], getattr(threshold, method)) for method in METHODS}
    optimistic = float(np.quantile(fitted_errors_db, 1 - NOMINAL_RATE, method="inverted_cdf"))
    return {"default": realised[METHODS[0]], **realised, "fitted": exceeding(clean["error"], optimistic)}


def detection_costs(
    recording: Recording,
    local_s: float,
    judge: Judge,
    clean: tuple[Outputs, Scores],
    stride_frames: int,
    anomalies: Sequence[Injected],
    say: Say,
) -> list[dict[str, Any]]:
    """Return what the caution of the default threshold costs: detections of sudden anomalies with it, and without.

    "matched" is the rate at a threshold that 1 % of the clean windows exceed, which nobody knows beforehand.

    Args:
        recording: Whose rest was judged.
        local_s: Seconds before the rest.
        judge: The model.
        clean: Outputs and scores of the clean windows of the rest, in order.
        stride_frames: Frames between the starts of those windows.
        anomalies: What to mix in.
        say: Hears where the work is.
    """
    outputs, scores = clean
    costs = []
    for injected in anomalies:
        say(f"mixing {injected.label} into {recording.name}")
        windows = _sudden(recording, local_s, injected, stride_frames)
        found = judge.after(judge.outputs(windows), outputs, stride_frames)
        for score in ("error", "combined"):
            matched = exceeding(found[score], matched_threshold(scores[score], NOMINAL_RATE))
            default = exceeding(found[score], threshold_of(judge, score).bound)
            named = {"kind": injected.kind, "sir_db": injected.sir_db, "score": score}
            costs.append({**named, "matched": matched, "default": default, "missed": matched - default})
    return costs


def _sudden(recording: Recording, local_s: float, injected: Injected, stride_frames: int) -> npt.NDArray[np.uint8]:
    standing = standing_frames(recording, local_s, injected)
    begun = begun_frames(recording, local_s, injected, standing)
    clean = recording.codes[len(recording.codes) - len(standing) :]
    return sudden_windows(cut_windows(clean, stride_frames), cut_windows(begun, stride_frames), injected.seed)
