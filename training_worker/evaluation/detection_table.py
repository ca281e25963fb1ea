"""Detection rates over many recordings, as JSON and as a table for people."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from training_worker.evaluation.detection import Detection, OnRecording
from training_worker.evaluation.injection import MODES
from training_worker.evaluation.telling import markdown_table, percent
from training_worker.evaluation.thresholds import NOMINAL_RATE

_MEAN: Final = "mean"
_NOTE: Final = """\
Share of anomalous windows detected, the mean over {count} recordings: at a threshold that 1 % of the clean windows of
the rest exceed / at the default threshold for 1 %. `standing` anomalies are there all along, `sudden` ones begin in the
predicted part. dB is the power of the cell over that of the interference. `false alarms` is the realised rate of the
default threshold: the mean, and the highest of a recording."""


def plain(found: Sequence[OnRecording]) -> dict[str, Any]:
    """Return all as JSON can hold it: every recording, and the means over them."""
    return {
        "recordings": [{"recording": one.recording, "auto": one.auto} for one in found],
        "detections": [detection.plain() for one in found for detection in one.detections],
        "means": [detection.plain() for detection in means(found)],
    }


def means(found: Sequence[OnRecording]) -> list[Detection]:
    """Return the means over recordings; those of the points of a ROC are taken at equal false-alarm rates."""
    return [_mean_of(rows) for rows in zip(*(one.detections for one in found), strict=True)]


def tables(found: Sequence[OnRecording]) -> str:
    """Return Markdown: for each mode a table with a row for each score of each method, a column for each anomaly."""
    averaged = means(found)
    parts = [_NOTE.format(count=len(found))]
    for mode in MODES:
        parts += [f"{mode.capitalize()} anomalies:", _table(found, [one for one in averaged if one.mode == mode])]
    return "\n\n".join(parts)


def _table(found: Sequence[OnRecording], averaged: Sequence[Detection]) -> str:
    columns = list(dict.fromkeys(one.injected for one in averaged))
    rows = []
    for family, score in dict.fromkeys((one.family, one.score) for one in averaged):
        own = {one.injected: one for one in averaged if (one.family, one.score) == (family, score)}
        rows.append([family, score, _rates(found, family, score), *(_cell(own[injected]) for injected in columns)])
    return markdown_table(["method", "score", "false alarms", *(injected.label for injected in columns)], rows)


def _mean_of(rows: Sequence[Detection]) -> Detection:
    return replace(
        rows[0],
        recording=_MEAN,
        matched=tuple(np.mean([row.matched for row in rows], axis=0).tolist()),
        default=tuple((float(a), float(b)) for a, b in np.mean([row.default for row in rows], axis=0)),
        area=float(np.mean([row.area for row in rows])),
        partial_area=float(np.mean([row.partial_area for row in rows])),
    )


def _rates(found: Iterable[OnRecording], family: str, score: str) -> str:
    """Return mean and highest false-alarm rate over recordings, which are the same for every anomaly."""
    realised = [
        next(one for one in on.detections if (one.family, one.score) == (family, score)).default_at(NOMINAL_RATE)[1]
        for on in found
    ]
    return f"{percent(float(np.mean(realised)))} ({percent(max(realised))})"


def _cell(one: Detection) -> str:
    return f"{one.matched_at(NOMINAL_RATE):.2f} / {one.default_at(NOMINAL_RATE)[0]:.2f}"
