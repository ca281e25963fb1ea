"""What a demo watches: bands, cells, observers, and the timetable of anomalies that it mixes in."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from bandwatch.lte.anomalies.timetable import Anomaly

Mobility = Literal["static", "walking", "driving"]

SILENCE_RATIO_DB = -30.0
"""Frequencies that go down leave a floor 30 dB below the cell."""
BURST_S = 0.0192
"""Anomalies come in bursts of 75 frames: what stands for longer becomes normal to a model that sees 100 frames."""
BURST_PERIOD_S = 0.0661
"""No multiple of the stride of windows, so that bursts fall on every part of a window."""


@dataclass(frozen=True)
class ObserverPlan:
    """One observer: what it hears while the platform learns, and while detection is measured.

    The settings are those of the agent by name, such as {"simulate": Path("cell.json")}.
    """

    id: str
    cell_id: str
    mobility: Mobility
    learn_s: float
    learning: dict[str, object]
    judging: dict[str, object]


@dataclass(frozen=True)
class CellPlan:
    """One cell of a band; `student` says whether it gets one, or only serves the teacher."""

    id: str
    band_id: str
    title: str
    student: bool


@dataclass(frozen=True)
class BandPlan:
    """One band; `teaches` says whether a teacher is built for it."""

    id: str
    title: str
    center_hz: float
    width_hz: float
    teaches: bool


@dataclass(frozen=True)
class Training:
    """How long and how densely to train."""

    teacher_epochs: int
    teacher_stride_frames: int
    student_stride_frames: int
    frozen_layers: int = 2
    seed: int = 7


@dataclass(frozen=True)
class DemoPlan:
    """Everything that a demo is going to do."""

    title: str
    bands: tuple[BandPlan, ...]
    cells: tuple[CellPlan, ...]
    observers: tuple[ObserverPlan, ...]
    timetable: tuple[Anomaly, ...]
    clean_s: float
    """Seconds at the start of the judged stream without any anomaly."""
    training: Training
    remarks: tuple[str, ...] = ()
    """What a reader of the figures must know."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of anomalies, in the order of the timetable."""
        return tuple(dict.fromkeys(anomaly.kind for anomaly in self.timetable))

    def bursts_of(self, kind: str) -> tuple[Anomaly, ...]:
        """Return every burst of one kind."""
        return tuple(anomaly for anomaly in self.timetable if anomaly.kind == kind)

    def observers_of(self, cell: CellPlan) -> tuple[ObserverPlan, ...]:
        """Return the observers of a cell."""
        return tuple(observer for observer in self.observers if observer.cell_id == cell.id)

    def teacher_band_of(self, cell: CellPlan) -> BandPlan:
        """Return the band whose teacher a cell's student starts from: its own, else the first that teaches."""
        teaching = [band for band in self.bands if band.teaches]
        return next((band for band in teaching if band.id == cell.band_id), teaching[0])


def bursts(kind: str, first_s: float, until_s: float, interference_db: float) -> tuple[Anomaly, ...]:
    """Return the bursts of one kind of anomaly that fit between two moments of stream time.

    Foreign transmitters have the power `interference_db` relative to the cell.
    """
    ratio_db = SILENCE_RATIO_DB if kind.startswith("down-") else interference_db
    count = int((until_s - first_s - BURST_S) / BURST_PERIOD_S) + 1
    starts = [first_s + number * BURST_PERIOD_S for number in range(count)]
    return tuple(Anomaly(kind, start_s, start_s + BURST_S, ratio_db) for start_s in starts)


def write_timetable(folder: Path, anomalies: tuple[Anomaly, ...]) -> Path:
    """Write a timetable for the agents of a demo, and return where."""
    path = folder / "anomalies.json"
    path.write_text(json.dumps([asdict(anomaly) for anomaly in anomalies]))
    return path
