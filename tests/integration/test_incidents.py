"""Events of several observers on their way to one incident, and what operators say of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bandwatch.wire.convert import to_duration_message, to_moment, to_timestamp
from bandwatch.wire.v1 import incident_pb2 as pb
from bandwatch.wire.v1 import statistics_pb2
from coordinator import parts
from coordinator.registry.entities import Segment
from coordinator.services.detection import incidents, merges
from tests.integration.conftest import Coordinator
from tests.integration.honest_segments import upload
from tests.integration.reported_events import CENTER_HZ, ago, event
from tests.integration.scripted_agents import Fleet, ScriptedAgent, fleet_of


@pytest.fixture
async def fleet(coordinator: Coordinator) -> AsyncIterator[Fleet]:
    """Register three observers of cell oak."""
    async with fleet_of(coordinator, 3) as made:
        yield made


async def tell(agent: ScriptedAgent, *events: pb.Event) -> list[statistics_pb2.ReportOutcome]:
    answer = await agent.service.ReportEvents(pb.ReportEventsRequest(events=events))
    return list(answer.outcomes)


async def listed(fleet: Fleet, **wanted: Any) -> list[pb.Incident]:
    return list((await fleet.admin.ListIncidents(pb.ListIncidentsRequest(**wanted))).incidents)


async def settle(fleet: Fleet, **changes: float) -> None:
    """Do what the schedule does, with other times than the usual ones."""
    rules = parts.merge_rules(fleet.coordinator.settings.model_copy(update=changes))
    async with fleet.registry.transaction() as session:
        await merges.settle(session, rules)


def box_mhz(incident: pb.Incident) -> tuple[float, float]:
    return (round((incident.box.low_hz - CENTER_HZ) / 1e6, 3), round((incident.box.high_hz - CENTER_HZ) / 1e6, 3))


async def test_events_that_overlap_in_frequency_and_time_are_one_incident_with_every_observer(fleet: Fleet) -> None:
    first, second, third = fleet.agents
    await tell(first, event(1, low_mhz=0.3, high_mhz=1.2, start_at=ago(5)))
    await tell(second, event(2, low_mhz=0.4, high_mhz=1.4, start_at=ago(6), severity=pb.SEVERITY_HIGH))
    await tell(third, event(3, low_mhz=-2.0, high_mhz=-1.5))
    apart, together = await listed(fleet)
    assert (list(together.observers), box_mhz(together)) == (["observers/o1", "observers/o0"], (0.3, 1.4))
    assert (together.severity, together.event_count) == (pb.SEVERITY_HIGH, 2)
    assert (together.state, together.box.HasField("end_time")) == (pb.INCIDENT_STATE_OPEN, False)
    assert list(apart.observers) == ["observers/o2"]


async def test_observers_that_report_at_the_same_moment_make_one_incident(fleet: Fleet) -> None:
    async with asyncio.TaskGroup() as group:
        for round_, agent in itertools.product(range(10), fleet.agents):
            group.create_task(tell(agent, event(100 * round_ + int(agent.name[1:]))))
    [incident] = await listed(fleet)
    assert (len(incident.observers), incident.event_count) == (3, 30)


async def test_the_newest_report_of_an_event_counts_in_whatever_order_reports_come(fleet: Fleet) -> None:
    agent, *_ = fleet.agents
    begun, ended = ago(20), ago(2)
    reports = [
        event(1, sequence=10, start_at=begun, low_mhz=0.0),
        event(1, sequence=11, start_at=begun, low_mhz=0.2),
        event(1, sequence=12, start_at=begun, low_mhz=0.3, end_at=ended),
    ]
    for order in ((2, 0, 1), (1, 1, 2), (0, 2, 2)):
        outcomes = await tell(agent, *(reports[index] for index in order))
        assert all(outcome.accepted for outcome in outcomes)
        [incident] = await listed(fleet)
        assert (box_mhz(incident), incident.event_count) == ((0.3, 1.3), 1)
        assert to_moment(incident.box.end_time) == ended


@pytest.mark.parametrize(
    ("gap_s", "count"),
    [(9.0, 1), (11.0, 2)],
)
async def test_events_no_further_apart_than_the_gap_are_one_incident(fleet: Fleet, gap_s: float, count: int) -> None:
    first, second, _ = fleet.agents
    await tell(first, event(1, start_at=ago(100), end_at=ago(60)))
    await tell(second, event(2, start_at=ago(60 - gap_s), end_at=ago(40)))
    assert len(await listed(fleet)) == count


async def test_an_incident_has_ended_when_all_its_events_have_for_a_while_and_opens_again_with_another(
    fleet: Fleet,
) -> None:
    first, second, _ = fleet.agents
    await tell(first, event(1, start_at=ago(50), end_at=ago(40)))
    await tell(second, event(2, start_at=ago(45)))
    await settle(fleet)
    assert [incident.state for incident in await listed(fleet)] == [pb.INCIDENT_STATE_OPEN]
    await tell(second, event(2, start_at=ago(45), end_at=ago(31)))
    await settle(fleet)
    assert [incident.state for incident in await listed(fleet)] == [pb.INCIDENT_STATE_ENDED]
    await tell(first, event(3, start_at=ago(25)))
    [again] = await listed(fleet, state=pb.INCIDENT_STATE_OPEN)
    assert again.event_count == 3


async def test_an_event_of_which_nothing_is_heard_any_more_has_ended(fleet: Fleet) -> None:
    await tell(fleet.agents[0], event(1))
    await settle(fleet, event_silence_s=1e-6, incident_quiet_s=1e-6)
    [incident] = await listed(fleet)
    assert incident.box.HasField("end_time")
    await settle(fleet, incident_quiet_s=1e-6)
    assert [incident.state for incident in await listed(fleet)] == [pb.INCIDENT_STATE_ENDED]


async def test_an_event_over_the_whole_band_waits_for_a_second_observer_while_others_listen(fleet: Fleet) -> None:
    await fleet.sync()
    first, second, _ = fleet.agents
    await tell(first, event(1, low_mhz=-2.5, high_mhz=2.5, kind=pb.EVENT_KIND_OUTAGE))
    await settle(fleet)
    assert await listed(fleet) == []
    await tell(second, event(2, low_mhz=-2.4, high_mhz=2.5, kind=pb.EVENT_KIND_OUTAGE))
    [incident] = await listed(fleet)
    assert set(incident.observers) == {"observers/o0", "observers/o1"}


async def test_an_event_over_the_whole_band_is_an_incident_once_it_has_waited(fleet: Fleet) -> None:
    await fleet.sync()
    await tell(fleet.agents[0], event(1, low_mhz=-2.5, high_mhz=2.5))
    await settle(fleet, incident_hold_s=1e-6)
    assert len(await listed(fleet)) == 1


BAD: dict[str, dict[str, Any]] = {
    "no box": {"box": None},
    "a box without height": {"low_mhz": 1.0, "high_mhz": 1.0},
    "an end before its start": {"start_at": ago(5), "end_at": ago(9)},
    "a start in the future": {"start_at": ago(-3600)},
    "an unknown cell": {"cell": "cells/nowhere"},
    "a self-test that nobody ordered": {"self_test": "selfTests/t-1"},
    "no kind": {"kind": 0},
    "a score that there is not": {"score": "guess"},
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_event_is_refused_alone(fleet: Fleet, fault: str) -> None:
    outcomes = await tell(fleet.agents[0], event(1), event(2, **BAD[fault]), event(3))
    assert [outcome.accepted for outcome in outcomes] == [True, False, True]
    assert outcomes[1].reason
    assert [incident.event_count for incident in await listed(fleet)] == [2]


async def test_a_muted_part_of_the_spectrum_is_muted_until_the_mute_ends(fleet: Fleet) -> None:
    mute = pb.Mute(cell="cells/oak", low_hz=CENTER_HZ, high_hz=CENTER_HZ + 2e6, reason="a known jammer")
    request = pb.CreateMuteRequest(mute=mute, lifetime=to_duration_message(timedelta(hours=1)))
    made = (await fleet.admin.CreateMute(request)).mute
    await tell(fleet.agents[0], event(1), event(2, low_mhz=-1.0, high_mhz=-0.5))
    assert {incident.muted for incident in await listed(fleet)} == {True, False}
    assert [kept.name for kept in (await fleet.admin.ListMutes(pb.ListMutesRequest())).mutes] == [made.name]
    await fleet.admin.DeleteMute(pb.DeleteMuteRequest(name=made.name))
    await tell(fleet.agents[1], event(3))
    assert {incident.muted for incident in await listed(fleet)} == {False}


async def test_what_operators_say_of_an_incident_is_kept_with_who_said_it(fleet: Fleet) -> None:
    await tell(fleet.agents[0], event(1))
    [incident] = await listed(fleet)
    judged = await fleet.admin.JudgeIncident(pb.JudgeIncidentRequest(name=incident.name))
    assert judged.incident.acknowledged_by == "operators/tester"
    assert judged.incident.verdict == pb.VERDICT_UNSPECIFIED
    request = pb.JudgeIncidentRequest(name=incident.name, verdict=pb.VERDICT_KNOWN, note="the crane")
    judged = await fleet.admin.JudgeIncident(request)
    assert (judged.incident.verdict, judged.incident.note) == (pb.VERDICT_KNOWN, "the crane")


async def _send(agent: ScriptedAgent, number: int, seconds_ago: float) -> None:
    request = upload(number, observer=f"observers/{agent.name}", start_time=to_timestamp(ago(seconds_ago)))
    assert [answer.reason async for answer in agent.service.UploadSegments(iter([request]))] == [""]


async def test_segments_at_the_time_of_an_incident_train_only_when_it_is_known_or_false(fleet: Fleet) -> None:
    agent, *_ = fleet.agents
    for number, seconds_ago in enumerate((120, 60, 20), start=1):
        await _send(agent, number, seconds_ago)
    await tell(agent, event(1, start_at=ago(62), end_at=ago(55)))

    async def chosen(condition: Any) -> list[int]:
        async with fleet.registry.transaction() as session:
            return list(await session.scalars(select(Segment.sequence).where(condition).order_by(Segment.sequence)))

    assert await chosen(incidents.overlapping_incident()) == [2]
    assert await chosen(incidents.excused_by_verdict()) == []
    [incident] = await listed(fleet)
    for verdict, kept_out in ((pb.VERDICT_TRUE, [2]), (pb.VERDICT_KNOWN, []), (pb.VERDICT_FALSE, [])):
        await fleet.admin.JudgeIncident(pb.JudgeIncidentRequest(name=incident.name, verdict=verdict))
        assert await chosen(incidents.overlapping_incident()) == kept_out
        assert await chosen(incidents.excused_by_verdict()) == ([] if kept_out else [2])


async def test_an_incident_shows_its_events_and_the_segments_around_it_and_their_codes_can_be_read(
    fleet: Fleet,
) -> None:
    agent, other, _ = fleet.agents
    for number, seconds_ago in enumerate((100, 64, 60, 50, 20), start=1):
        await _send(agent, number, seconds_ago)
    await _send(other, 1, 60)
    await tell(agent, event(1, start_at=ago(60), end_at=ago(55)))
    [incident] = await listed(fleet)
    seen = await fleet.admin.GetIncident(pb.GetIncidentRequest(name=incident.name))
    assert [found.event_id for found in seen.events] == [event(1).event_id]
    assert [segment.origin.sequence for segment in seen.evidence] == [2, 3, 4]
    stream = fleet.admin.ReadSegment(pb.ReadSegmentRequest(name=seen.evidence[0].name))
    assert b"".join([part.chunk async for part in stream]) == upload(2).codes


async def test_a_self_test_is_timed_and_its_incident_is_its_own(fleet: Fleet) -> None:
    agent, *_ = fleet.agents
    wanted = pb.CreateSelfTestRequest(self_test=pb.SelfTest(observer="observers/o0"))
    ordered = (await fleet.admin.CreateSelfTest(wanted)).self_test
    await agent.sync()
    assert agent.desired.self_test.name == ordered.name
    await tell(agent, event(1), event(2, self_test=ordered.name))
    done = (await fleet.admin.GetSelfTest(pb.GetSelfTestRequest(name=ordered.name))).self_test
    assert to_moment(done.create_time) < to_moment(done.event_time) < to_moment(done.incident_time)
    await agent.sync()
    assert not agent.desired.HasField("self_test")
    [real] = await listed(fleet)
    assert (real.event_count, real.self_test) == (1, "")
    [_, tested] = sorted(await listed(fleet, with_self_tests=True), key=lambda one: one.self_test)
    assert (tested.name, tested.self_test) == (done.incident, ordered.name)


async def test_one_self_test_at_a_time_is_ordered_from_an_observer(fleet: Fleet) -> None:
    wanted = pb.CreateSelfTestRequest(self_test=pb.SelfTest(observer="observers/o0"))
    await fleet.admin.CreateSelfTest(wanted)
    with pytest.raises(Exception, match="under way"):
        await fleet.admin.CreateSelfTest(wanted)
