"""Receiver operating characteristics of every method and score, drawn from what `evaluate detection` wrote."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bandwatch.errors import InvalidArgumentError, NotFoundError
from training_worker.evaluation.paper.plots import Line, line_panels
from training_worker.evaluation.telling import markdown_table

OWN_SCORE: Final = "own"
"""What stands as the score of a simple method."""
SIMPLE: Final = "simple methods"
"""Title of the panel that they share."""

_Points = list[tuple[float, float]]


def read_detections(files: Iterable[Path], sirs_db: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """Return what is in the files that `evaluate detection --json` wrote: one entry for each recording and method.

    Where powers are named, only interference of these is returned.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: It was not written by `evaluate detection`.
    """
    found: list[dict[str, Any]] = []
    for file in files:
        try:
            found += json.loads(file.read_text())["detections"]
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no {file}: write it with `evaluate detection --json {file}`") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidArgumentError(f"{file} was not written by `evaluate detection --json`") from error
    return [one for one in found if not sirs_db or one["sir_db"] in sirs_db]


def drawn(detections: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG with a row of panels for each anomaly and a panel for each family; a line is a score.

    A point is the mean over recordings of the share detected, at equal rates of false alarms.
    """
    families = list(dict.fromkeys(_family(one) for one in detections))
    anomalies = list(dict.fromkeys(_anomaly(one) for one in detections))
    panels = {
        f"{anomaly}\n{family}": _lines(
            [one for one in detections if (_anomaly(one), _family(one)) == (anomaly, family)]
        )
        for anomaly in anomalies
        for family in families
    }
    return line_panels(panels, "rate of false alarms", "windows detected", len(families), log_x=True)


def areas(detections: Sequence[Mapping[str, Any]]) -> str:
    """Return Markdown: the area under each curve, and that up to a rate of 10 %, as means over recordings."""
    anomalies = list(dict.fromkeys(_anomaly(one) for one in detections))
    rows = []
    for method, score in dict.fromkeys((str(one["family"]), str(one["score"])) for one in detections):
        own = [one for one in detections if (one["family"], one["score"]) == (method, score)]
        rows.append(
            [method, score, *(_area([one for one in own if _anomaly(one) == anomaly]) for anomaly in anomalies)]
        )
    return markdown_table(["method", "score", *anomalies], rows)


def _area(detections: Sequence[Mapping[str, Any]]) -> str:
    return " / ".join(f"{np.mean([one[name] for one in detections]):.2f}" for name in ("auc", "auc_to_0.1"))


def _anomaly(one: Mapping[str, Any]) -> str:
    power = "" if one["sir_db"] is None else f" {one['sir_db']:g} dB"
    return f"{one['kind']}{power}, {one['mode']}"


def _family(one: Mapping[str, Any]) -> str:
    return SIMPLE if one["score"] == OWN_SCORE else str(one["family"])


def _lines(detections: Sequence[Mapping[str, Any]]) -> list[Line]:
    curves: dict[str, list[_Points]] = {}
    for one in detections:
        name = one["family"] if one["score"] == OWN_SCORE else one["score"]
        curves.setdefault(str(name), []).append(one["roc"])
    simple = any(one["score"] == OWN_SCORE for one in detections)
    return [
        _mean_line(name, points, dashed=simple, colour=number)
        for number, (name, points) in enumerate(sorted(curves.items()))
    ]


def _mean_line(name: str, curves: Sequence[_Points], *, dashed: bool, colour: int) -> Line:
    mean = np.mean(np.array(curves), axis=0)[1:]  # the first point is that of no false alarm at all
    return Line(name, mean[:, 0].tolist(), mean[:, 1].tolist(), dashed=dashed, colour=colour)
