"""`bandwatch demo` on real radio, as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TEACHER = "2645a"
STUDENTS = {"cells/1890", "cells/2585", "cells/2605", "cells/2645b"}


@pytest.mark.recordings
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_real_cells_student_beats_the_unadapted_teacher_on_later_radio(
    recordings_dir: Path, tmp_path: Path
) -> None:
    figures, report = tmp_path / "figures.json", tmp_path / "report.html"
    command: list[str | Path] = ["demo", "--recordings", recordings_dir, "--json", figures, "--report", report]
    result = subprocess.run(
        [sys.executable, "-m", "operator_console", *command],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "140"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(figures.read_text())
    cells = {cell["cell"]: cell for cell in found["cells"]}
    assert set(cells) == STUDENTS
    for cell in cells.values():
        assert cell["student_error_db"] < cell["teacher_error_db"]
        assert cell["false_alarms"]["windows"] > 0
        assert set(cell["detection_rate"]) >= {"ofdm-5mhz", "qpsk-200khz", "down-66", "power-5db"}
    assert any(TEACHER in remark for remark in found["remarks"])
    page = report.read_text()
    assert page.count("data:image/png;base64,") == 3 * 3 * len(STUDENTS)
    assert "<script" not in page
    assert "http" not in page


def test_a_folder_without_recordings_is_refused_with_a_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "operator_console", "demo", "--recordings", tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "no SigMF recordings" in result.stderr
