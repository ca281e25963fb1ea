"""A drive through four cells: which model is in force each second, and what is missed at each change."""

import asyncio
import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from bandwatch import names
from bandwatch.artifacts.blobs import BlobStore
from bandwatch.geography import EARTH_RADIUS_M
from bandwatch.spectrogram.bands import FRAME_SECONDS, WINDOW_FRAMES
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import model_pb2, spectrum_pb2
from coordinator.registry.entities import Model
from coordinator.registry.session import Registry
from observer_agent.agent.status import AgentStatus, read_status
from tests.fleet.conftest import ItemResult
from tests.integration.conftest import Coordinator, StartCoordinator
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher

CARRIER_HZ: Final = 881.5e6
M_PER_DEG: Final = EARTH_RADIUS_M * math.pi / 180
APART_M, REACH_M = 600.0, 500.0
"""Cells a, b, c, d stand in a row on the equator."""
START_M, STOP_M, SPEED_MPS = -480.0, 1800.0, 60.0
MARGIN_M, BORDER_S = 60.0, 1.0
DRIVE_S: Final = (STOP_M - START_M) / SPEED_MPS
AWAY_S: Final = (DRIVE_S / 4, 3 * DRIVE_S / 4)
"""The coordinator is away for the middle half of the way."""
QUIET_DB, LOUD_DB = 900.0, 0.5
"""Thresholds that nothing exceeds, and that everything does."""
CELLS: Final = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Expected:
    """What is to judge in a cell: its release, and on which rung that stands."""

    serial: int
    rung: str


def change_times_s() -> list[float]:
    """Return when the observer changes cell, by hand: nearer by the margin, and then for the time."""
    borders_m = [APART_M * (n + 0.5) for n in range(len(CELLS) - 1)]
    return [(border_m + MARGIN_M / 2 - START_M) / SPEED_MPS + BORDER_S for border_m in borders_m]


def planned_each_second(expected: list[Expected]) -> list[list[Expected]]:
    """Return what is in force in each second of the drive; two where the observer changes cell."""
    changes_s = change_times_s()
    plan = []
    for second in range(int(DRIVE_S)):
        before = sum(change_s < second for change_s in changes_s)
        after = sum(change_s < second + 1 for change_s in changes_s)
        plan.append(expected[before : after + 1])
    return plan


def seen_each_second(scores: list[dict[str, Any]]) -> list[list[Expected]]:
    """Return what judged in each second of the drive, in order."""
    seen: list[list[Expected]] = [[] for _ in range(int(DRIVE_S))]
    for score in scores:
        second, found = int(score["stream_s"]), Expected(score["serial"], score["rung"])
        if second < len(seen) and found not in seen[second][-1:]:
            seen[second].append(found)
    return seen


async def register(coordinator: Coordinator) -> Path:
    """Register the bands, the cells with their places, and observer van; return the folder of its identity."""
    async with coordinator.admin() as admin:
        for band in ("north", "south"):
            described = spectrum_pb2.Band(center_hz=CARRIER_HZ, width_hz=1.92e6)
            await admin.CreateBand(pb.CreateBandRequest(band_id=band, band=described))
        for number, cell in enumerate(CELLS):
            described_cell = spectrum_pb2.Cell(
                band="bands/south" if cell == "d" else "bands/north",
                latitude_deg=0.0,
                longitude_deg=number * APART_M / M_PER_DEG,
                radius_m=REACH_M,
            )
            await admin.CreateCell(pb.CreateCellRequest(cell_id=cell, cell=described_cell))
        van = pb.Observer(cell="cells/a", mobility=spectrum_pb2.MOBILITY_DRIVING, trust=spectrum_pb2.TRUST_TRUSTED)
        van.training_target.seconds = 2
        made = await admin.CreateObserver(pb.CreateObserverRequest(observer_id="van", observer=van))
    await coordinator.enroll(made.join_token)
    return coordinator.folder / "observers" / "van"


async def release_models(coordinator: Coordinator) -> list[Expected]:
    """Release students of a and b, a teacher of their band and c's, and a global one, which is all that d has."""
    source = Publisher(FakeCoordinator(), ReleaseRepository(), "bands/north", None)
    wanted = {"a": QUIET_DB, "b": QUIET_DB, "teacher": QUIET_DB, "global": LOUD_DB}
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        for number, (name, threshold_db) in enumerate(wanted.items(), 1):
            content = source.manifest(1, bias=float(number), threshold_db=threshold_db).content
            cell_id = name if name in CELLS else None
            session.add(Model(id=name, band_id="north", cell_id=cell_id, content=content.model_dump(mode="json")))
    await registry.close()
    for blob in source.coordinator.blobs.values():
        BlobStore(coordinator.settings.blob_dir / "models").write(blob)
    serials = {}
    async with coordinator.admin() as admin:
        for name in wanted:
            request = pb.CreateReleaseRequest(model=f"models/{name}", plan=model_pb2.RolloutPlan(at_once=True))
            setattr(request, "global", name == "global")
            serials[name] = (await admin.CreateRelease(request)).release.serial
    rungs = {"a": "student", "b": "student", "teacher": "teacher", "global": "global"}
    return [Expected(serials[name], rung) for name, rung in rungs.items()]


def write_drive(folder: Path) -> Path:
    """Write the way and the simulated cells on it."""
    degrees = [metres / M_PER_DEG for metres in (START_M, STOP_M)]
    rows = [f"0,0,{degrees[0]!r}", f"{DRIVE_S},0,{degrees[1]!r}"]
    (folder / "way.csv").write_text("time_s,latitude_deg,longitude_deg\n" + "\n".join(rows) + "\n")
    cells = [
        {
            "latitude_deg": 0.0,
            "longitude_deg": number * APART_M / M_PER_DEG,
            "simulation": {"cell_identity": number, "resource_blocks": 6, "carrier_hz": CARRIER_HZ, "seed": number},
        }
        for number in range(len(CELLS))
    ]
    (folder / "drive.json").write_text(json.dumps({"track": "way.csv", "cells": cells}))
    return folder / "drive.json"


def environment_of(folder: Path, identity: Path) -> dict[str, str]:
    """Return the settings of the agent."""
    settings = {
        "IDENTITY_DIR": identity,
        "DATA_DIR": folder / "van",
        "DRIVE": write_drive(folder),
        "INSPECT": folder / "seen",
        "BORDER_MARGIN_M": MARGIN_M,
        "BORDER_TIME_S": BORDER_S,
        "EXIT_AT_END": True,
        "RETRY_CAP_S": 1,
        "STATUS_INTERVAL_S": 0.2,
    }
    return {**os.environ, **{f"BANDWATCH_AGENT_{name}": str(value) for name, value in settings.items()}}


async def until(process: asyncio.subprocess.Process, condition: Callable[[], bool], within_s: float = 120.0) -> None:
    """Wait for what the agent does in its own time."""
    async with asyncio.timeout(within_s):
        while not condition():
            assert process.returncode is None, "the agent has ended"
            await asyncio.sleep(0.02)


def heard_s(folder: Path) -> float:
    """Return how far the agent is on its way."""
    frames = folder / "seen" / "frames.u8"
    return frames.stat().st_size / 128 * FRAME_SECONDS if frames.exists() else 0.0


def status_of(folder: Path) -> AgentStatus | None:
    return read_status(folder / "van") if (folder / "van" / "status.json").exists() else None


async def drive(start_coordinator: StartCoordinator, folder: Path) -> "tuple[list[Expected], Stored]":
    """Drive through the cells with a real agent, the coordinator away for the middle half of the way."""
    async with AsyncExitStack() as serving:
        coordinator = await serving.enter_async_context(start_coordinator())
        identity = await register(coordinator)
        expected = await release_models(coordinator)
        with (folder / "agent.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "observer_agent", "run"),
                env=environment_of(folder, identity),
                stdout=log,
                stderr=log,
            )
            try:
                await until(process, lambda: (status := status_of(folder)) is not None and status.cells_ready == 4)
                await until(process, lambda: heard_s(folder) >= AWAY_S[0])
                assert heard_s(folder) < change_times_s()[0], (
                    "too slow: the first change came before the coordinator went"
                )
                await serving.aclose()
                await until(process, lambda: heard_s(folder) >= AWAY_S[1])
                ports = {"listen": coordinator.address, "member_listen": coordinator.member_address}
                again = await serving.enter_async_context(start_coordinator(**ports))
                async with asyncio.timeout(120):
                    assert await process.wait() == 0, (folder / "agent.log").read_text()[-3000:]
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.wait()
        return expected, await look(again)


@dataclass(frozen=True)
class Stored:
    """What the coordinator knows after the drive."""

    observer: pb.Observer
    segments: list[spectrum_pb2.Segment]
    anomalies: list[spectrum_pb2.Anomaly]


async def look(coordinator: Coordinator) -> Stored:
    """Ask the coordinator what it knows."""
    async with coordinator.admin() as admin:
        observer = (await admin.GetObserver(pb.GetObserverRequest(name="observers/van"))).observer
        segments = (await admin.ListSegments(pb.ListSegmentsRequest(page_size=1000))).segments
        anomalies = (await admin.ListAnomalies(pb.ListAnomaliesRequest(page_size=1000))).anomalies
    return Stored(observer, list(segments), list(anomalies))


@pytest.mark.fault(
    "the coordinator away for half of a drive through four cells",
    "no second under a false model; at most two windows from one score to the next",
)
@pytest.mark.fleet
@pytest.mark.slow
async def test_a_drive_through_four_cells_is_judged_as_planned_also_without_the_coordinator(
    start_coordinator: StartCoordinator, tmp_path: Path, item_result: ItemResult
) -> None:
    expected, stored = await drive(start_coordinator, tmp_path)
    scores = [json.loads(line) for line in (tmp_path / "seen" / "scores.jsonl").read_text().splitlines()]

    assert seen_each_second(scores) == planned_each_second(expected)

    gaps = []
    for earlier, later in pairwise(scores):
        between_frames = (later["stream_s"] - earlier["stream_s"]) / FRAME_SECONDS
        if earlier["serial"] == later["serial"]:
            assert between_frames == pytest.approx(25)
        else:
            gaps.append(between_frames / WINDOW_FRAMES)
    assert len(gaps) == len(CELLS) - 1
    assert max(gaps) < 2

    allowed = {(f"cells/{cell}", run.serial) for cell, run in zip(CELLS, expected, strict=True)}
    assert {(segment.cell, segment.scored_by_serial) for segment in stored.segments} == allowed
    for segment in stored.segments:
        middle_m = APART_M * CELLS.index(names.cells.id(segment.cell))
        assert abs(segment.context.longitude_deg * M_PER_DEG - middle_m) < REACH_M
    assert {(a.cell, a.serial, a.rung) for a in stored.anomalies} == {
        ("cells/d", expected[3].serial, spectrum_pb2.RUNG_GLOBAL)
    }
    assert (stored.observer.cell, stored.observer.reported.cell) == ("cells/a", "cells/d")
    assert stored.observer.reported.running_rung == spectrum_pb2.RUNG_GLOBAL

    item_result(
        3,
        tried=f"a drive of {DRIVE_S:.0f} s through 4 cells, the coordinator away for half of it",
        how_often=len(gaps),
        lost=f"no second under a false model; at most {max(gaps):.2f} windows from one score to the next",
    )
