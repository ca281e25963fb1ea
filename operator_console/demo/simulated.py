"""A demo on simulated cells: two bands with two cells each, and a static, a walking and a driving observer in each."""

import json
from itertools import product
from pathlib import Path

from bandwatch.lte.anomalies.timetable import KINDS
from operator_console.demo.plan import BandPlan, CellPlan, DemoPlan, Mobility, ObserverPlan, Training, bursts

BANDS = {"b880": 881.5e6, "b750": 751.0e6}
"""Centre frequencies of two of the seed paper's downlink bands."""
WIDTH_HZ = 5e6
CELLS = {"oak": (17, "b880", 0.5), "elm": (204, "b880", 0.7), "bay": (81, "b750", 0.6), "sea": (333, "b750", 0.85)}
"""Cell identity, band and load of each cell."""
SIGNAL_TO_NOISE_DB = {"static": 12.0, "walking": 10.0, "driving": 8.0}

LEARN_S = 6.0
CLEAN_S = 3.0
INTERFERENCE_RATIO_DB = 10.0
KIND_S = 0.5
"""Time for the bursts of each kind of anomaly."""


def simulated_plan(folder: Path) -> DemoPlan:
    """Return the plan, with the agents' files written into a folder."""
    bands = tuple(
        BandPlan(band_id, f"Downlink at {center_hz / 1e6:g} MHz", center_hz, WIDTH_HZ, teaches=True)
        for band_id, center_hz in BANDS.items()
    )
    cells = tuple(
        CellPlan(cell_id, band_id, f"Simulated cell {identity}, load {load:.0%}", student=True)
        for cell_id, (identity, band_id, load) in CELLS.items()
    )
    mobilities: tuple[Mobility, ...] = ("static", "walking", "driving")
    starts = [CLEAN_S + number * KIND_S for number in range(len(KINDS))]
    anomalies = tuple(
        burst
        for kind, start_s in zip(KINDS, starts, strict=True)
        for burst in bursts(kind, start_s, start_s + KIND_S, INTERFERENCE_RATIO_DB)
    )
    end_s = CLEAN_S + KIND_S * (len(KINDS) + 1)
    return DemoPlan(
        title="Simulated LTE cells",
        bands=bands,
        cells=cells,
        observers=tuple(
            _observer(folder, cell, mobility, number, end_s)
            for number, (cell, mobility) in enumerate(product(cells, mobilities))
        ),
        timetable=anomalies,
        clean_s=CLEAN_S,
        training=Training(teacher_epochs=6, teacher_stride_frames=25, student_stride_frames=25),
        remarks=(
            (
                "The radio is simulated: LTE downlink cells of 5 MHz after 3GPP TS 36.211, with fading for static, "
                "walking and driving observers. Read the figures as a check of the platform, not of the science."
            ),
        ),
    )


def _observer(folder: Path, cell: CellPlan, mobility: Mobility, number: int, judge_s: float) -> ObserverPlan:
    identity, band_id, load = CELLS[cell.id]
    observer_id = f"{cell.id}-{mobility}"
    common = {
        "cell_identity": identity,
        "load": load,
        "mobility": mobility,
        "signal_to_noise_db": SIGNAL_TO_NOISE_DB[mobility],
        "carrier_hz": BANDS[band_id],
        "seed": 100 + number,
    }
    learning, judging = folder / f"{observer_id}-learning.json", folder / f"{observer_id}-judging.json"
    learning.write_text(json.dumps({**common, "seconds": LEARN_S}))
    judging.write_text(json.dumps({**common, "start_seconds": LEARN_S, "seconds": judge_s}))
    return ObserverPlan(
        id=observer_id,
        cell_id=cell.id,
        mobility=mobility,
        learn_s=LEARN_S,
        learning={"simulate": learning},
        judging={"simulate": judging},
    )
