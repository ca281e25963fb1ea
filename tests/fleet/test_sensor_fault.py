"""Ten observers of one cell, one with a dead antenna: a sensor fault on that one, and no incident."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from bandwatch.spectrogram.bands import Band
from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import incident_pb2, observer_service_pb2, policy_pb2, spectrum_pb2
from bandwatch.wire.v1.policy_pb2 import HEALTH_FINDING_GOOD, HEALTH_FINDING_SENSOR_FAULT, HEALTH_FINDING_SPECTRUM
from coordinator import parts
from coordinator.services.detection import health, merges
from observer_agent.detection.detector import DetectionOptions
from observer_agent.detection.pipeline import Pipeline
from observer_agent.detection.statistics import StatisticsMaker
from observer_agent.receivers.clock import SampleClock
from observer_agent.receivers.simulated import SimulatedReceiver, Simulation
from observer_agent.spool.records import HeldStatistics, Origin, StatisticsRecord
from observer_agent.uplink.messages_statistics import statistics_request
from tests.fleet.conftest import ItemResult
from tests.integration.conftest import Coordinator
from tests.integration.honest_segments import upload
from tests.integration.scripted_agents import Fleet, ScriptedAgent, fleet_of

CARRIER_HZ: Final = 881.5e6
SECONDS: Final = 5.5
BOOT: Final = "13579bdf02468ace" * 2
DEAF_DB: Final = -60.0
"""Level of the cell above the noise where there is no antenna."""


def heard(signal_to_noise_db: float, seed: int) -> StatisticsRecord:
    """Return what an agent's own code says of frames of a simulated cell."""
    receiver = SimulatedReceiver(
        Simulation(
            cell_identity=5,
            resource_blocks=6,
            carrier_hz=CARRIER_HZ,
            signal_to_noise_db=signal_to_noise_db,
            seed=seed,
            seconds=SECONDS,
        )
    )
    pipeline = Pipeline(receiver, Band(CARRIER_HZ, 1.92e6), DetectionOptions())
    clock = SampleClock(receiver.sample_rate_hz)
    maker = StatisticsMaker(clock, span_s=60.0)
    for block in receiver.blocks(threading.Event()):
        clock.arrived(block.end_sample, datetime.now(UTC))
        maker.push(pipeline.push(block, None), "cells/oak")
    (record,) = maker.close()
    return record


async def report(agent: ScriptedAgent, record: StatisticsRecord, number: int) -> None:
    start_at = datetime.now(UTC) - timedelta(seconds=SECONDS)
    held = HeldStatistics(Origin(BOOT, number), record.model_copy(update={"start_at": start_at}))
    answer = await agent.service.ReportStatistics(statistics_request([held]))
    assert [outcome.reason for outcome in answer.outcomes] == [""]


async def see_outage(agent: ScriptedAgent) -> None:
    """Report that the whole band is gone, as an agent does whose antenna fell off."""
    event = incident_pb2.Event(
        origin=spectrum_pb2.Origin(boot_id=BOOT, sequence=1000),
        event_id="5" * 32,
        cell="cells/oak",
        box=incident_pb2.SpectrumBox(
            low_hz=CARRIER_HZ - 2.5e6,
            high_hz=CARRIER_HZ + 2.5e6,
            start_time=to_timestamp(datetime.now(UTC) - timedelta(seconds=2)),
        ),
        kind=incident_pb2.EVENT_KIND_OUTAGE,
        kind_confidence=0.9,
        severity=incident_pb2.SEVERITY_HIGH,
        windows=16,
        anomalous_windows=16,
        score="combined",
        peak_value=30.0,
        threshold=3.0,
        serial=1,
        excess_db=-25.0,
    )
    answer = await agent.service.ReportEvents(incident_pb2.ReportEventsRequest(events=[event]))
    assert [outcome.reason for outcome in answer.outcomes] == [""]


async def settle(fleet: Fleet) -> None:
    """Do what the schedule does, as if an event had waited long enough."""
    rules = parts.merge_rules(fleet.coordinator.settings.model_copy(update={"incident_hold_s": 1e-6}))
    async with fleet.registry.transaction() as session:
        await health.check(session)
    async with fleet.registry.transaction() as session:
        await merges.settle(session, rules)


async def findings(fleet: Fleet) -> dict[str, policy_pb2.ObserverHealth]:
    answer = await fleet.admin.ListObserverHealth(policy_pb2.ListObserverHealthRequest(cell="cells/oak"))
    return {found.observer: found for found in answer.health}


@pytest.mark.fault(
    "one dead antenna among ten observers",
    "a sensor fault on that one, no incident, and its data do not train",
)
@pytest.mark.fleet
async def test_one_dead_antenna_of_ten_is_a_sensor_fault_and_no_incident(
    coordinator: Coordinator, item_result: ItemResult
) -> None:
    alive = [heard(20.0 + seed, seed) for seed in range(3)]
    dead = heard(DEAF_DB, seed=9)
    assert dead.noise_only_share == 1.0
    async with fleet_of(coordinator, 10) as fleet:
        await fleet.sync()
        broken, *others = fleet.agents
        await see_outage(broken)  # before its statistics tell what it is
        for number, agent in enumerate(others):
            await report(agent, alive[number % len(alive)], 1)
        await report(broken, dead, 1)
        await settle(fleet)
        found = await findings(fleet)
        incidents = (await fleet.admin.ListIncidents(incident_pb2.ListIncidentsRequest())).incidents
        data = await refusals_of(fleet, broken)
        await report_all_dead(fleet, dead)
        together = await findings(fleet)
    assert found["observers/o0"].finding == HEALTH_FINDING_SENSOR_FAULT, found["observers/o0"].reason
    assert "no signal in 100% of its looks, while 9 of 9 others are fine" in found["observers/o0"].reason
    assert {found[f"observers/o{number}"].finding for number in range(1, 10)} == {HEALTH_FINDING_GOOD}
    assert not incidents
    assert "of a faulty sensor" in data
    assert {one.finding for one in together.values()} == {HEALTH_FINDING_SPECTRUM}
    item_result(
        6,
        tried="ten observers of one cell, one with a dead antenna that reports an outage: a sensor fault on that one, "
        "no incident, and its data do not train; all ten dead: spectrum",
        how_often=1,
        lost="nothing",
    )


async def refusals_of(fleet: Fleet, agent: ScriptedAgent) -> list[str]:
    """Upload a segment that looks clean, and return why the gate refuses it."""
    just_now = to_timestamp(datetime.now(UTC) - timedelta(seconds=1))
    request = upload(1, observer=f"observers/{agent.name}", start_time=just_now)
    answers = [answer.outcome async for answer in agent.service.UploadSegments(iter([request]))]
    assert answers == [observer_service_pb2.UPLOAD_OUTCOME_STORED]
    data = await fleet.admin.GetCellData(policy_pb2.GetCellDataRequest(cell="cells/oak"))
    return [refusal.reason for refusal in data.refusals]


async def report_all_dead(fleet: Fleet, dead: StatisticsRecord) -> None:
    for agent in fleet.agents:
        await report(agent, dead, 2)
    async with fleet.registry.transaction() as session:
        await health.check(session)
