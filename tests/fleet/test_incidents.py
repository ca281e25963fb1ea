"""Ten observers of one cell, and a foreign transmitter in range of four of them: one incident."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from bandwatch.lte.anomalies.timetable import Anomaly
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import incident_pb2
from observer_agent.settings import AgentSettings
from observer_agent.uplink.messages_events import events_request
from tests.fleet.conftest import ItemResult
from tests.fleet.heard_cells import CARRIER_HZ, CellOnAir, Listening, Place, frames_of, in_turn, model_of
from tests.integration.conftest import Coordinator
from tests.integration.scripted_agents import fleet_of

OBSERVERS: Final = 10
IN_RANGE: Final = (1, 3, 4, 8)
LEARNT_S: Final = 1.0
HEARD_S: Final = 3.4
OFFSET_HZ: Final = 0.8e6
WIDTH_HZ: Final = 1e6
START_S: Final = 2.0
STOP_S: Final = 3.0
RATIO_DB: Final = 10.0
TOLERANCE: Final = 0.2


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """Give an agent's usual settings."""
    (tmp_path / "cell.json").write_text("{}")
    return AgentSettings.from_options({"data_dir": tmp_path / "data", "simulate": tmp_path / "cell.json"})


@pytest.mark.fleet
@pytest.mark.slow
async def test_a_transmitter_in_range_of_four_of_ten_observers_is_one_incident_with_its_box(
    coordinator: Coordinator, settings: AgentSettings, tmp_path: Path, item_result: ItemResult
) -> None:
    air = CellOnAir()
    learnt = [frames_of(Place(number, air.send(LEARNT_S), air.sample_rate_hz)) for number in range(OBSERVERS)]
    model = model_of(learnt, tmp_path / "model")
    sent = air.send(HEARD_S)
    begun_at = datetime.now(UTC) - timedelta(seconds=30)
    listening = Listening(tmp_path / "spools", settings, model, begun_at)
    transmitter = Anomaly("ofdm-1mhz", START_S, STOP_S, RATIO_DB, OFFSET_HZ)
    told = [
        listening.events_of(
            number, Place(number, sent, air.sample_rate_hz), transmitter if number in IN_RANGE else None
        )
        for number in range(OBSERVERS)
    ]
    async with fleet_of(coordinator, OBSERVERS) as fleet:
        await fleet.sync()
        for number, held in in_turn(told):
            answer = await fleet.agents[number].service.ReportEvents(events_request([held]))
            assert [outcome.reason for outcome in answer.outcomes] == [""]
        found = (await fleet.admin.ListIncidents(incident_pb2.ListIncidentsRequest())).incidents
    [incident] = found
    assert set(incident.observers) == {f"observers/o{number}" for number in IN_RANGE}
    assert incident.kind == incident_pb2.EVENT_KIND_PARTIAL
    low_hz, high_hz = CARRIER_HZ + OFFSET_HZ - WIDTH_HZ / 2, CARRIER_HZ + OFFSET_HZ + WIDTH_HZ / 2
    assert abs(incident.box.low_hz - low_hz) <= TOLERANCE * WIDTH_HZ
    assert abs(incident.box.high_hz - high_hz) <= TOLERANCE * WIDTH_HZ
    started_s, ended_s = (
        (to_moment(moment) - begun_at).total_seconds() for moment in (incident.box.start_time, incident.box.end_time)
    )
    assert abs(started_s - START_S) <= TOLERANCE * (STOP_S - START_S)
    assert abs(ended_s - STOP_S) <= TOLERANCE * (STOP_S - START_S)
    item_result(
        6,
        tried=f"a 1 MHz OFDM transmitter in range of four of ten observers, judged by a model that was solved on their "
        f"data: one incident with four observers, edges off by {abs(incident.box.low_hz - low_hz) / 1e3:.0f} and "
        f"{abs(incident.box.high_hz - high_hz) / 1e3:.0f} kHz",
        how_often=1,
        lost="nothing",
    )
