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


def table(found: Sequence[OnRecording]) -> str:
    """Return Markdown: a row for each score of each method, a column for each anomaly and mode."""
    averaged = means(found)
    columns = list(dict.fromkeys((one.mode, one.injected) for one in sorted(averaged, key=_mode_of)))
    heads = ["method", "score", "false alarms", *(f"{injected.label}, {mode}" for mode, injected in columns)]
    rows = []
    for family, score in dict.fromkeys((one.family, one.score) for one in averaged):
        own = {(one.mode, one.injected): one for one in averaged if (one.family, one.score) == (family, score)}
        realised = [one.default_at(NOMINAL_RATE)[1] for one in _of(found, family, score, columns[0])]
        rates = f"{percent(float(np.mean(realised)))} ({percent(max(realised))})"
        rows.append([family, score, rates, *(_cell(own[column]) for column in columns)])
    return f"{_NOTE.format(count=len(found))}\n\n{markdown_table(heads, rows)}"


def _mean_of(rows: Sequence[Detection]) -> Detection:
    return replace(
        rows[0],
        recording=_MEAN,
        matched=tuple(np.mean([row.matched for row in rows], axis=0).tolist()),
        default=tuple((float(a), float(b)) for a, b in np.mean([row.default for row in rows], axis=0)),
        area=float(np.mean([row.area for row in rows])),
        partial_area=float(np.mean([row.partial_area for row in rows])),
    )


def _mode_of(one: Detection) -> int:
    return MODES.index(one.mode)


def _of(found: Iterable[OnRecording], family: str, score: str, column: tuple[str, Any]) -> list[Detection]:
    return [
        one
        for on in found
        for one in on.detections
        if (one.family, one.score, (one.mode, one.injected)) == (family, score, column)
    ]


def _cell(one: Detection) -> str:
    return f"{one.matched_at(NOMINAL_RATE):.2f} / {one.default_at(NOMINAL_RATE)[0]:.2f}"
