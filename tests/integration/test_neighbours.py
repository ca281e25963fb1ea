"""What an observer that moves is told of the cells around it."""

from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from bandwatch.artifacts.manifest import ModelContent
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import model_pb2, observer_service_pb2, spectrum_pb2
from coordinator.registry.entities import Model
from coordinator.registry.session import Registry
from coordinator.services.fleet.neighbours import LIMIT
from tests.integration.conftest import Coordinator, Network

PLAIN: Any = {
    "family": "tiny",
    "graph": {"digest": "a" * 64, "size_bytes": 1},
    "tensors": [{"name": "w", "shape": [1], "blob": {"digest": "b" * 64, "size_bytes": 4}}],
    "frozen_layers": 0,
    "error": {"mean_db": 1, "deviation_db": 1, "windows": 1},
    "scores": [
        {
            "score": "error",
            "log_mean": 0,
            "log_deviation": 1,
            "thresholds": [{"false_alarm_rate": 0.01, "gaussian": 1, "empirical": 1, "bound": 1}],
        }
    ],
    "default_score": "error",
    "golden_errors_db": [1],
}


async def create_cell(coordinator: Coordinator, cell_id: str, *, band: str = "north", **place: float) -> None:
    async with coordinator.admin() as admin:
        cell = spectrum_pb2.Cell(band=f"bands/{band}", **place)  # type: ignore[arg-type] # a place is three floats
        await admin.CreateCell(pb.CreateCellRequest(cell_id=cell_id, cell=cell))


async def create_row(coordinator: Coordinator, count: int) -> None:
    """Register cells c00, c01, ... 0.01 degrees apart on the equator."""
    for number in range(count):
        await create_cell(coordinator, f"c{number:02}", latitude_deg=0.0, longitude_deg=number / 100, radius_m=800.0)


async def release(coordinator: Coordinator, model_id: str, cell_id: str | None, *, everywhere: bool = False) -> int:
    """Make a model and release it at once; return its serial."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    content = ModelContent.model_validate(PLAIN).model_dump(mode="json")
    async with registry.transaction() as session:
        session.add(Model(id=model_id, band_id="north", cell_id=cell_id, content=content))
    await registry.close()
    async with coordinator.admin() as admin:
        request = pb.CreateReleaseRequest(model=f"models/{model_id}", plan=model_pb2.RolloutPlan(at_once=True))
        setattr(request, "global", everywhere)
        return (await admin.CreateRelease(request)).release.serial


async def desired(coordinator: Coordinator, identity: Any, **reported: Any) -> observer_service_pb2.DesiredState:
    state = observer_service_pb2.ReportedState(agent_version="1", **reported)
    async with coordinator.observer(identity) as observer:
        return (await observer.Sync(observer_service_pb2.SyncRequest(state=state))).desired


def cells_of(state: observer_service_pb2.DesiredState) -> list[str]:
    return [neighbour.cell.name for neighbour in state.neighbours]


async def test_the_cells_nearest_to_where_the_observer_says_it_is_come_first(
    coordinator: Coordinator, network: Network
) -> None:
    await create_row(coordinator, LIMIT + 4)
    position = observer_service_pb2.Position(latitude_deg=0.0, longitude_deg=0.102)
    told = cells_of(await desired(coordinator, network.tokens["van"], position=position))
    assert told[:5] == ["cells/c10", "cells/c11", "cells/c09", "cells/c12", "cells/c08"]
    assert len(told) == LIMIT


async def test_without_a_position_they_are_those_around_the_cell_that_it_is_in(
    coordinator: Coordinator, network: Network
) -> None:
    await create_row(coordinator, 4)
    assert cells_of(await desired(coordinator, network.tokens["van"], cell="cells/c03"))[0] == "cells/c03"
    assert cells_of(await desired(coordinator, network.tokens["van"], cell="cells/gone"))[0] == "cells/c00"


async def test_a_cell_without_a_place_and_the_own_one_are_no_neighbours(
    coordinator: Coordinator, network: Network
) -> None:
    assert cells_of(await desired(coordinator, network.tokens["van"])) == []  # oak has no place, elm is its own


async def test_an_observer_that_stays_is_told_of_none(coordinator: Coordinator, network: Network) -> None:
    await create_row(coordinator, 2)
    assert cells_of(await desired(coordinator, network.tokens["roof"])) == []


async def test_each_cell_comes_with_its_place_its_release_and_the_rungs_below(
    coordinator: Coordinator, network: Network
) -> None:
    await create_row(coordinator, 2)
    student = await release(coordinator, "student", "c00")
    teacher = await release(coordinator, "teacher", None)
    everywhere = await release(coordinator, "everywhere", None, everywhere=True)
    state = await desired(coordinator, network.tokens["van"])
    first, second = state.neighbours
    assert (first.cell.longitude_deg, first.cell.radius_m, first.band.center_hz) == (0.0, 800.0, 881.5e6)
    assert (first.release.serial, first.teacher.serial) == (student, teacher)
    assert (second.release.serial, second.HasField("teacher")) == (teacher, False)
    assert (state.release.serial, state.HasField("teacher")) == (teacher, False)
    assert state.global_release.serial == everywhere


async def test_a_place_is_given_later_and_wakes_the_observers_that_move(
    coordinator: Coordinator, network: Network
) -> None:
    before = await desired(coordinator, network.tokens["van"])
    async with coordinator.admin() as admin:
        cell = spectrum_pb2.Cell(
            name="cells/oak", band="bands/north", title="Oak", latitude_deg=1.0, longitude_deg=2.0, radius_m=300.0
        )
        changed = (await admin.UpdateCell(pb.UpdateCellRequest(cell=cell))).cell
    assert (changed.title, changed.latitude_deg, changed.longitude_deg, changed.radius_m) == ("Oak", 1.0, 2.0, 300.0)
    after = await desired(coordinator, network.tokens["van"])
    assert cells_of(after) == ["cells/oak"]
    assert after.revision == before.revision + 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"latitude_deg": 1.0}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"band": "bands/other"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"name": "cells/gone"}, grpc.StatusCode.NOT_FOUND),
    ],
)
@pytest.mark.usefixtures("network")
async def test_a_change_of_a_cell_that_cannot_be_is_refused(
    coordinator: Coordinator, change: dict[str, Any], code: grpc.StatusCode
) -> None:
    cell = spectrum_pb2.Cell(**{"name": "cells/oak", "band": "bands/north", **change})
    async with coordinator.admin() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await admin.UpdateCell(pb.UpdateCellRequest(cell=cell))
    assert refused.value.code() is code


async def test_the_rung_of_an_anomaly_is_kept(coordinator: Coordinator, network: Network) -> None:
    anomaly = spectrum_pb2.Anomaly(
        origin=spectrum_pb2.Origin(boot_id="0" * 32, sequence=1),
        cell="cells/oak",
        error_db=3.0,
        false_alarm_rate=0.01,
        model="models/m",
        serial=1,
        score="error",
        value=3.0,
        threshold=1.0,
        rung=spectrum_pb2.RUNG_TEACHER,
    )
    anomaly.window_start_time.FromDatetime(datetime.now(UTC))
    anomaly.window_duration.FromMilliseconds(32)
    async with coordinator.observer(network.tokens["van"]) as observer:
        request = observer_service_pb2.ReportAnomaliesRequest(anomalies=[anomaly])
        [outcome] = (await observer.ReportAnomalies(request)).outcomes
    assert outcome.accepted
    async with coordinator.admin() as admin:
        [kept] = (await admin.ListAnomalies(pb.ListAnomaliesRequest())).anomalies
    assert (kept.cell, kept.rung) == ("cells/oak", spectrum_pb2.RUNG_TEACHER)
