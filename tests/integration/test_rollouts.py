"""A release comes into force by stages, and goes back by itself where it fails, with the reason."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from sqlalchemy import text

from bandwatch.wire.v1.admin_service_pb2 import PromoteReleaseRequest, RollBackReleaseRequest
from bandwatch.wire.v1.model_pb2 import (
    RELEASE_STATE_ACTIVE,
    RELEASE_STATE_CANARY,
    RELEASE_STATE_ROLLED_BACK,
    RELEASE_STATE_SHADOW,
    RELEASE_STATE_SUPERSEDED,
    Release,
)
from tests.integration.conftest import Coordinator
from tests.integration.scripted_agents import Fleet, fleet_of


@pytest.fixture
async def fleet(coordinator: Coordinator) -> AsyncIterator[Fleet]:
    """Give six observers of one cell that run a student, and have for a while."""
    async with fleet_of(coordinator, 6) as fleet:
        await fleet.release(await fleet.model(1), at_once=True)
        await fleet.sync()
        for agent in fleet.agents:
            await agent.report(ended_at=datetime.now(UTC) - timedelta(seconds=30))
        yield fleet


async def to_canary(fleet: Fleet, release: Release) -> Release:
    """Bring a release through shadow."""
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report()
    await fleet.advance()
    release = await fleet.get(release)
    assert release.state == RELEASE_STATE_CANARY, release.reason
    return release


async def test_with_few_observers_a_good_release_goes_through_shadow_and_canary_and_reaches_all(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    assert release.state == RELEASE_STATE_SHADOW
    assert "too few for statistics" in release.reason
    await fleet.advance()  # nobody has heard of it
    assert (await fleet.releases())[0].state == RELEASE_STATE_SHADOW
    release = await to_canary(fleet, release)
    assert "2 of 6 observers run it" in release.reason
    assert {agent.running for agent in fleet.agents} == {1}
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report()
    assert sum(agent.running == release.serial for agent in fleet.agents) == 2
    assert {agent.shadow for agent in fleet.agents} == {0}
    await fleet.advance()
    release = await fleet.get(release)
    assert release.state == RELEASE_STATE_ACTIVE, release.reason
    assert "as a canary all 2 that answered ran it well" in release.reason
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {release.serial}
    assert [r.state for r in await fleet.releases()] == [RELEASE_STATE_ACTIVE, RELEASE_STATE_SUPERSEDED]


async def test_a_release_with_a_higher_error_never_leaves_shadow(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report(shadow_excess_db=1.0)
    await fleet.advance()
    release = await fleet.get(release)
    assert release.state == RELEASE_STATE_ROLLED_BACK
    assert "taken back by itself from shadow" in release.reason
    assert "+1.00 dB" in release.reason
    assert release.figures.error_db - release.figures.active_error_db == pytest.approx(1.0, abs=0.05)
    await fleet.sync()
    assert {(agent.running, agent.shadow) for agent in fleet.agents} == {(1, 0)}


@pytest.mark.fault(
    "a release that is worse on its canaries",
    "it is taken back, and they get the former model again",
)
async def test_a_canary_that_gets_worse_is_stopped_and_its_observers_get_the_former_model_under_a_newer_serial(
    fleet: Fleet,
) -> None:
    release = await to_canary(fleet, await fleet.release(await fleet.model(2)))
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report(4.0 if agent.running == release.serial else 3.0)
    await fleet.advance()
    newest, stopped, former = await fleet.releases()
    assert (stopped.state, former.state) == (RELEASE_STATE_ROLLED_BACK, RELEASE_STATE_SUPERSEDED)
    assert (newest.model, newest.state) == (former.model, RELEASE_STATE_ACTIVE)
    assert f"had {stopped.name}" in newest.reason
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {newest.serial}
    assert sum(stopped.serial in agent.ever_ran for agent in fleet.agents) == 2


async def test_an_error_that_rises_for_everybody_is_not_the_releases_fault(fleet: Fleet) -> None:
    release = await to_canary(fleet, await fleet.release(await fleet.model(2)))
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report(5.0)
    await fleet.advance()
    assert (await fleet.get(release)).state == RELEASE_STATE_ACTIVE


@pytest.mark.parametrize(
    ("symptom", "reason"),
    [({"flagged": 400}, "flags 20.0% of the windows"), ({"unscored": 3}, "12 windows got no finite score")],
)
async def test_false_alarms_and_windows_without_score_stop_a_canary(
    fleet: Fleet, symptom: dict[str, int], reason: str
) -> None:
    release = await to_canary(fleet, await fleet.release(await fleet.model(2)))
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report(**(symptom if agent.running == release.serial else {}))  # type: ignore[arg-type] # by name
    await fleet.advance()
    stopped = await fleet.get(release)
    assert stopped.state == RELEASE_STATE_ROLLED_BACK
    assert reason in stopped.reason


@pytest.mark.fault(
    "an observer that refuses a release",
    "it is stopped",
)
async def test_an_observer_that_refuses_a_release_stops_it(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    fleet.agents[3].refuses[release.serial] = "self_test_failed"
    await fleet.sync()
    await fleet.advance()
    stopped = await fleet.get(release)
    assert stopped.state == RELEASE_STATE_ROLLED_BACK
    assert "observers/o3: refused it: self_test_failed" in stopped.reason
    assert stopped.figures.failed == 1
    assert [r.state for r in await fleet.releases()] == [RELEASE_STATE_ROLLED_BACK, RELEASE_STATE_ACTIVE]


async def test_a_refusal_for_want_of_a_blob_is_waited_for(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    fleet.agents[3].refuses[release.serial] = "not_found"
    await fleet.sync()
    await fleet.advance()
    fleet.agents[3].refuses.clear()
    await to_canary(fleet, release)


@pytest.mark.fault(
    "observers silent after they heard the offer of a release",
    "silence counts as failure; who was away before does not",
)
async def test_silence_after_the_offer_counts_as_failure_and_offline_before_it_does_not(fleet: Fleet) -> None:
    fleet.settings_changes["rollout_grace_s"] = 0.000001
    offline, deaf = fleet.agents[0], fleet.agents[1]
    release = await fleet.release(await fleet.model(2))
    await fleet.advance()
    assert (await fleet.get(release)).state == RELEASE_STATE_SHADOW  # all are offline as yet
    deaf.deaf = True
    await deaf.sync()
    await fleet.advance()
    stopped = await fleet.get(release)
    assert stopped.state == RELEASE_STATE_ROLLED_BACK
    assert "observers/o1: was not heard of" in stopped.reason or "neither run nor refused" in stopped.reason
    assert stopped.figures.offered == 1
    assert release.serial not in offline.ever_ran


@pytest.mark.fault(
    "observers that stay offline during a rollout",
    "they block nothing",
)
async def test_offline_observers_block_nothing(fleet: Fleet) -> None:
    online = fleet.agents[:2]
    release = await fleet.release(await fleet.model(2), canary_share=0.9)
    for _ in range(2):
        for agent in online:
            await agent.sync()
            await agent.report()
        await fleet.advance()
    assert (await fleet.get(release)).state == RELEASE_STATE_ACTIVE


@pytest.mark.fault(
    "observers that run a release and report nothing of it",
    "it goes back at its deadline",
)
async def test_what_reports_nothing_goes_back_at_the_deadline(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2), deadline_s=0.01)
    await fleet.sync()
    await fleet.advance()
    stopped = await fleet.get(release)
    assert stopped.state == RELEASE_STATE_ROLLED_BACK
    assert "deadline" in stopped.reason


async def test_a_newer_release_takes_the_place_of_one_on_its_way(fleet: Fleet) -> None:
    first = await to_canary(fleet, await fleet.release(await fleet.model(2)))
    await fleet.sync()
    second = await fleet.release(await fleet.model(3))
    assert (await fleet.get(first)).state == RELEASE_STATE_SUPERSEDED
    await to_canary(fleet, second)
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report()
    await fleet.advance()
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {second.serial}
    seen = [agent.ever_ran for agent in fleet.agents]
    assert all(sorted(ran) == sorted(ran | {max(ran)}) for ran in seen)


async def test_promoting_by_hand_skips_the_gates_and_taking_back_releases_the_model_before_again(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    promoted = (await fleet.admin.PromoteRelease(PromoteReleaseRequest(name=release.name))).release
    assert (promoted.state, promoted.reason) == (RELEASE_STATE_ACTIVE, "promoted by hand")
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {release.serial}
    request = RollBackReleaseRequest(name=release.name, reason="too many alarms")
    answer = await fleet.admin.RollBackRelease(request)
    assert answer.release.state == RELEASE_STATE_ROLLED_BACK
    assert "too many alarms" in answer.release.reason
    assert (answer.instead.model, answer.instead.state) == ("models/m-1", RELEASE_STATE_ACTIVE)
    assert answer.instead.serial > release.serial
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {answer.instead.serial}
    with pytest.raises(grpc.aio.AioRpcError, match="rolled back"):
        await fleet.admin.PromoteRelease(PromoteReleaseRequest(name=release.name))
    with pytest.raises(grpc.aio.AioRpcError, match="rolled back already"):
        await fleet.admin.RollBackRelease(request)


async def test_taking_back_the_only_student_brings_the_teacher_back_under_a_newer_serial(
    coordinator: Coordinator,
) -> None:
    async with fleet_of(coordinator, 1) as fleet:
        await fleet.release(await fleet.model(1, cell=None), at_once=True)
        student = await fleet.release(await fleet.model(2), at_once=True)
        await fleet.sync()
        answer = await fleet.admin.RollBackRelease(RollBackReleaseRequest(name=student.name))
        assert (answer.instead.model, answer.instead.cell) == ("models/m-1", "")
        await fleet.sync()
        assert fleet.agents[0].running == answer.instead.serial > student.serial


async def test_where_nothing_is_in_force_a_release_is_a_canary_first(coordinator: Coordinator) -> None:
    async with fleet_of(coordinator, 3) as fleet:
        release = await fleet.release(await fleet.model(1, cell=None))
        assert release.state == RELEASE_STATE_CANARY
        assert "nothing is in force to compare with" in release.reason
        await fleet.sync()
        assert sorted(agent.running for agent in fleet.agents) == [0, 0, release.serial]
        for agent in fleet.agents:
            await agent.report()
        await fleet.advance()
        assert (await fleet.get(release)).state == RELEASE_STATE_ACTIVE


async def test_a_release_that_was_stopped_where_nothing_else_is_in_force_leaves_nothing(
    coordinator: Coordinator,
) -> None:
    async with fleet_of(coordinator, 3) as fleet:
        release = await fleet.release(await fleet.model(1, cell=None))
        await fleet.sync()
        await fleet.admin.RollBackRelease(RollBackReleaseRequest(name=release.name))
        await fleet.sync()
        assert {agent.running for agent in fleet.agents} == {0}


async def test_a_teacher_on_its_way_leaves_cells_with_a_student_alone(fleet: Fleet) -> None:
    teacher = await fleet.release(await fleet.model(9, cell=None))
    assert teacher.state == RELEASE_STATE_ACTIVE
    assert "nobody to try it" in teacher.reason
    await fleet.sync()
    assert {agent.running for agent in fleet.agents} == {1}


async def test_a_canary_that_was_overtaken_by_another_serial_goes_on_under_a_newer_one(fleet: Fleet) -> None:
    release = await fleet.release(await fleet.model(2))
    await fleet.release(await fleet.model(9, cell=None), at_once=True)
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report()
    await fleet.advance()
    newest = (await fleet.releases())[0]
    assert (newest.model, newest.state) == (release.model, RELEASE_STATE_CANARY)
    assert newest.serial > release.serial + 1
    assert (await fleet.get(release)).state == RELEASE_STATE_SUPERSEDED


@pytest.mark.fault(
    "a student taken back while a teacher is on its way",
    "the cell gets the teacher in force; the other one goes its way",
)
async def test_a_student_that_falls_brings_the_teacher_back_while_another_teacher_is_on_its_way(
    coordinator: Coordinator,
) -> None:
    async with fleet_of(coordinator, 6) as fleet:
        await fleet.release(await fleet.model(1, cell=None), at_once=True)
        await fleet.sync()
        student = await to_canary(fleet, await fleet.release(await fleet.model(2)))
        fix = await fleet.release(await fleet.model(3, cell=None))
        assert fix.state == RELEASE_STATE_SHADOW
        await fleet.sync()
        answer = await fleet.admin.RollBackRelease(RollBackReleaseRequest(name=student.name))
        assert (answer.release.state, answer.instead.model) == (RELEASE_STATE_ROLLED_BACK, "models/m-1")
        assert (await fleet.get(fix)).state == RELEASE_STATE_SHADOW
        await fleet.sync()
        assert {agent.running for agent in fleet.agents} == {answer.instead.serial}


async def test_a_release_in_force_can_be_taken_back_while_its_successor_is_on_its_way(fleet: Fleet) -> None:
    bad = await fleet.release(await fleet.model(2), at_once=True)
    fix = await fleet.release(await fleet.model(3))
    await fleet.sync()
    answer = await fleet.admin.RollBackRelease(RollBackReleaseRequest(name=bad.name))
    assert (answer.instead.model, answer.instead.state) == ("models/m-1", RELEASE_STATE_ACTIVE)
    assert (await fleet.get(fix)).state == RELEASE_STATE_SHADOW


async def test_a_release_whose_last_observers_leave_comes_into_force_and_stops_no_other(fleet: Fleet) -> None:
    teacher = await fleet.release(await fleet.model(8, cell=None), at_once=True)
    async with fleet.registry.transaction() as session:
        await session.execute(text("UPDATE releases SET state = 'superseded' WHERE cell_id = 'oak'"))
    await fleet.sync()
    newer = await fleet.release(await fleet.model(9, cell=None))
    assert newer.state == RELEASE_STATE_SHADOW
    await fleet.sync()
    for agent in fleet.agents:
        await agent.report()
    await fleet.release(await fleet.model(3), at_once=True)  # the cell has a student now, so nobody runs a teacher
    await fleet.advance()
    newest = next(release for release in await fleet.releases() if release.model == newer.model)
    assert newest.state == RELEASE_STATE_ACTIVE, newest.reason
    assert "no observer watches there any more" in newest.reason
    assert (await fleet.get(teacher)).state == RELEASE_STATE_SUPERSEDED


async def test_canaries_are_the_same_whoever_asks_and_others_for_another_release(fleet: Fleet) -> None:
    release = await to_canary(fleet, await fleet.release(await fleet.model(2)))
    async with fleet.registry.transaction() as session:
        query = text("SELECT observer_id FROM rollout_members WHERE serial = :serial AND stage = 'canary'")
        members = set(await session.scalars(query, {"serial": release.serial}))
    await fleet.sync()
    await fleet.sync()
    assert {agent.name for agent in fleet.agents if agent.running == release.serial} == members


async def test_revisions_rise_with_every_change_of_what_observers_run_and_only_then(fleet: Fleet) -> None:
    before = {agent.name: agent.desired.revision for agent in fleet.agents}
    await fleet.release(await fleet.model(2))
    await fleet.advance()
    await fleet.advance()
    await fleet.sync()
    assert {agent.name: agent.desired.revision for agent in fleet.agents} == {
        name: revision + 1 for name, revision in before.items()
    }


async def test_statistics_are_answered_alone_and_repeated_ones_accepted_again(fleet: Fleet) -> None:
    agent = fleet.agents[0]
    agent.running = 77
    outcomes = await agent.report(spans=1)
    assert [(outcome.accepted, outcome.code) for outcome in outcomes] == [(False, "not_found")]
    agent.running = 1
    outcomes = await agent.report(flagged=5000, spans=1)
    assert [(outcome.accepted, outcome.code) for outcome in outcomes] == [(False, "invalid_argument")]
    future = datetime.now(UTC) + timedelta(hours=1)
    assert not (await agent.report(spans=1, ended_at=future))[0].accepted
    assert all(outcome.accepted for outcome in await agent.report())
