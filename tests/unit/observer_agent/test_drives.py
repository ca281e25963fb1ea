"""A drive through simulated cells as a receiver."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from bandwatch.errors import InvalidArgumentError, NotFoundError
from observer_agent.receivers.driven import Drive, DrivenReceiver
from observer_agent.receivers.simulated import SimulatedReceiver, Simulation

PLAIN: dict[str, Any] = {"resource_blocks": 6, "carrier_hz": 1890e6}


def written(folder: Path, *cells: tuple[float, dict[str, Any]], seconds: float = 0.4) -> Path:
    """Write a drive east along the equator from 0 to 0.01 degrees."""
    (folder / "way.csv").write_text(
        f"time_s,latitude_deg,longitude_deg\n0,0,0\n{seconds},0,0.01\n",
    )
    told = [
        {"latitude_deg": 0, "longitude_deg": east_deg, "simulation": {**PLAIN, **simulation}}
        for east_deg, simulation in cells
    ]
    (folder / "drive.json").write_text(json.dumps({"track": "way.csv", "cells": told}))
    return folder / "drive.json"


def test_each_block_is_of_the_nearest_cell_and_the_drive_ends_with_its_track(tmp_path: Path) -> None:
    path = written(tmp_path, (0.0, {"cell_identity": 1}), (0.01, {"cell_identity": 2}))
    receiver = DrivenReceiver(Drive.read(path))
    blocks = list(receiver.blocks(threading.Event()))
    assert [block.first_sample for block in blocks] == [0, 192_000, 384_000, 576_000]
    assert not any(block.discontinuity for block in blocks)
    alone = [
        [block.raw for block in SimulatedReceiver(Simulation(cell_identity=n, seconds=0.3, **PLAIN)).blocks(never())]
        for n in (1, 2)
    ]
    assert [block.raw for block in blocks] == [alone[0][0], alone[0][1], alone[0][2], alone[1][0]]


def never() -> threading.Event:
    return threading.Event()


def test_cells_that_are_not_received_alike_make_no_drive(tmp_path: Path) -> None:
    path = written(tmp_path, (0.0, {"cell_identity": 1}), (0.01, {"cell_identity": 2, "carrier_hz": 880e6}))
    with pytest.raises(InvalidArgumentError, match="same carrier_hz"):
        DrivenReceiver(Drive.read(path))


def test_a_drive_without_its_track_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, (0.0, {"cell_identity": 1}))
    (tmp_path / "way.csv").unlink()
    with pytest.raises(NotFoundError, match=r"way\.csv"):
        DrivenReceiver(Drive.read(path))


def test_a_drive_stops_when_it_is_told_to(tmp_path: Path) -> None:
    receiver = DrivenReceiver(Drive.read(written(tmp_path, (0.0, {"cell_identity": 1}), seconds=10)))
    stop = threading.Event()
    blocks = receiver.blocks(stop)
    next(blocks)
    stop.set()
    assert list(blocks) == []
