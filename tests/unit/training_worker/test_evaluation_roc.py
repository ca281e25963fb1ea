"""Curves from what was detected: means over recordings, a panel for each family, and clear words about other files."""

import json
from pathlib import Path
from typing import Any

import pytest

from bandwatch.errors import InvalidArgumentError, NotFoundError
from training_worker.evaluation import roc


def _detection(
    recording: str, family: str, score: str, curve: list[tuple[float, float]], **more: Any
) -> dict[str, Any]:
    anomaly = {"kind": "ofdm-1mhz", "sir_db": 10.0, "mode": "standing"}
    return {
        **anomaly,
        "recording": recording,
        "family": family,
        "score": score,
        "roc": curve,
        "auc": 0.5,
        "auc_to_0.1": 0.25,
        **more,
    }


CURVES = [
    _detection("a", "hybrid", "error", [(0.0, 0.0), (0.01, 0.2), (1.0, 1.0)], auc=0.6),
    _detection("b", "hybrid", "error", [(0.0, 0.0), (0.01, 0.4), (1.0, 1.0)], auc=0.8),
    _detection("a", "kalman", "own", [(0.0, 0.0), (0.01, 0.1), (1.0, 1.0)]),
    _detection("a", "hybrid", "error", [(0.0, 0.0), (0.01, 0.0), (1.0, 1.0)], sir_db=20.0),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "detections.json"
    written.write_text(json.dumps({"detections": CURVES}))
    return written


def test_a_table_gives_the_mean_area_of_every_method_and_score(file: Path) -> None:
    rows = roc.areas(roc.read_detections([file], [10.0])).splitlines()
    assert rows[0] == "| method | score | ofdm-1mhz 10 dB, standing |"
    assert rows[2:] == ["| hybrid | error | 0.70 / 0.25 |", "| kalman | own | 0.50 / 0.25 |"]


def test_every_family_has_a_panel_for_every_anomaly_and_simple_methods_share_one(file: Path) -> None:
    drawn = roc.drawn(roc.read_detections([file]))
    for title in ("ofdm-1mhz 10 dB, standing", "ofdm-1mhz 20 dB, standing"):
        assert drawn.count(title) == 2
    assert "simple methods" in drawn
    assert "kalman" in drawn


def test_a_curve_is_the_mean_over_recordings_at_equal_rates() -> None:
    (line,) = roc._lines(CURVES[:2])
    assert (line.name, list(line.x)) == ("error", [0.01, 1.0])
    assert list(line.y) == pytest.approx([0.3, 1.0])


def test_files_that_hold_something_else_are_refused_with_advice(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"claims": []}')
    with pytest.raises(InvalidArgumentError, match="evaluate detection --json"):
        roc.read_detections([other])
    with pytest.raises(NotFoundError, match="evaluate detection --json"):
        roc.read_detections([tmp_path / "nothing.json"])
