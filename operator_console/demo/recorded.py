"""A demo on SigMF recordings: each an observer, grouped into cells by what their descriptions say."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median_high

from bandwatch.errors import FailedPreconditionError, NotFoundError
from bandwatch.lte.anomalies.timetable import KINDS, Anomaly
from bandwatch.spectrogram.samples import item_bytes
from operator_console.demo.plan import BandPlan, CellPlan, DemoPlan, ObserverPlan, Training, bursts

LEARN_S = 0.5
"""Half of each recording is learnt from, the other half is judged."""
INTERFERENCE_RATIO_DB = 0.0
QUIET_S = 0.03
"""Each pass begins without anomaly for longer than the input of a window."""
SAME_BAND_HZ = 1e6
"""Recordings tuned closer together than this watch one band."""
_CELL = re.compile(r"\bcell ([A-Za-z0-9][A-Za-z0-9-]*)")


@dataclass(frozen=True)
class Recording:
    """What the metadata of a recording say."""

    path: Path
    cell_id: str
    center_hz: float
    sample_rate_hz: float
    duration_s: float


def recorded_plan(recordings_dir: Path) -> DemoPlan:
    """Return the plan for the recordings of a folder. The cell with the most recordings teaches; the others learn.

    Raises:
        NotFoundError: The folder holds no recordings.
        FailedPreconditionError: They are of fewer than two cells.
    """
    usable, remarks = _read(recordings_dir)
    by_cell: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in usable:
        by_cell[recording.cell_id].append(recording)
    if len(by_cell) < 2:  # noqa: PLR2004 - one teaches, another learns
        raise FailedPreconditionError(
            f"{recordings_dir} holds usable recordings of {len(by_cell)} cells; at least two are needed, each of "
            f"{2 * LEARN_S:g} s or more, with 'cell NAME' in its description"
        )
    teacher_cell = max(sorted(by_cell), key=lambda cell_id: len(by_cell[cell_id]))
    bands, band_of = _bands(by_cell, teacher_cell)
    timetable, clean_s = _timetable()
    return DemoPlan(
        title=f"Recordings of {len(by_cell)} real LTE cells",
        bands=bands,
        cells=tuple(
            CellPlan(cell_id, band_of[cell_id], f"Cell {cell_id}", student=cell_id != teacher_cell)
            for cell_id in sorted(by_cell)
        ),
        observers=tuple(
            _observer(recording, number, teaches=cell_id == teacher_cell)
            for cell_id in sorted(by_cell)
            for number, recording in enumerate(by_cell[cell_id], start=1)
        ),
        timetable=timetable,
        clean_s=clean_s,
        training=Training(teacher_epochs=20, teacher_stride_frames=8, student_stride_frames=4),
        remarks=(
            (
                f"The teacher learnt from cell {teacher_cell}. Every other cell gave the first {LEARN_S:g} s of each "
                "of its recordings to its student; the rest was judged, once as received, then once with each kind of "
                "anomaly mixed in. That is very little data, so thresholds are rough."
            ),
            *remarks,
        ),
    )


def _read(recordings_dir: Path) -> tuple[list[Recording], list[str]]:
    paths = sorted(recordings_dir.glob("*.sigmf-meta"))
    if not paths:
        raise NotFoundError(f"no SigMF recordings (*.sigmf-meta) in {recordings_dir}")
    usable, remarks = [], []
    for path in paths:
        recording = _recording(path)
        if isinstance(recording, Recording):
            usable.append(recording)
        else:
            remarks.append(f"{path.name} was left out: {recording}.")
    return usable, remarks


def _recording(path: Path) -> Recording | str:
    """Return a recording, or why it cannot be used."""
    metadata = json.loads(path.read_text())
    overall, captures = metadata["global"], metadata["captures"]
    found = _CELL.search(overall.get("core:description", ""))
    if not found:
        return "its description names no cell"
    if "core:frequency" not in captures[0]:
        return "it does not say which frequency it was tuned to"
    rate_hz = float(overall["core:sample_rate"])
    size = path.with_suffix(".sigmf-data").stat().st_size
    duration_s = size / item_bytes(overall["core:datatype"]) / rate_hz
    if duration_s < 2 * LEARN_S:
        return f"it lasts {duration_s:.2f} s, and {2 * LEARN_S:g} s are needed to learn and to judge"
    return Recording(path, found[1].lower(), float(captures[0]["core:frequency"]), rate_hz, duration_s)


def _bands(by_cell: dict[str, list[Recording]], teacher_cell: str) -> tuple[tuple[BandPlan, ...], dict[str, str]]:
    groups: list[list[Recording]] = []
    for recording in sorted((r for cell in by_cell.values() for r in cell), key=lambda r: r.center_hz):
        if not groups or recording.center_hz - groups[-1][-1].center_hz > SAME_BAND_HZ:
            groups.append([])
        groups[-1].append(recording)
    bands, band_of = [], {}
    for group in groups:
        center_hz = median_high(recording.center_hz for recording in group)
        band_id = f"b{center_hz / 1e6:.0f}"
        cells = {recording.cell_id for recording in group}
        band_of.update(dict.fromkeys(cells, band_id))
        width_hz = _one_rate(group)
        bands.append(
            BandPlan(
                band_id, f"Downlink at {center_hz / 1e6:g} MHz", center_hz, width_hz, teaches=teacher_cell in cells
            )
        )
    return tuple(bands), band_of


def _one_rate(group: Iterable[Recording]) -> float:
    return min(recording.sample_rate_hz for recording in group)


def _timetable() -> tuple[tuple[Anomaly, ...], float]:
    """Return the bursts of one kind for each pass over the judged half but the first, which stays clean."""
    anomalies = tuple(
        burst
        for number, kind in enumerate(KINDS, start=1)
        for burst in bursts(kind, LEARN_S * number + QUIET_S, LEARN_S * (number + 1), INTERFERENCE_RATIO_DB)
    )
    return anomalies, LEARN_S


def _observer(recording: Recording, number: int, *, teaches: bool) -> ObserverPlan:
    learn_s = recording.duration_s if teaches else LEARN_S
    return ObserverPlan(
        id=f"{recording.cell_id}-{number}",
        cell_id=recording.cell_id,
        mobility="static",
        learn_s=learn_s,
        learning={"recording": recording.path, "duration_seconds": learn_s},
        judging={
            "recording": recording.path,
            "start_seconds": LEARN_S,
            "duration_seconds": LEARN_S,
            "passes": 1 + len(KINDS),
        },
    )
