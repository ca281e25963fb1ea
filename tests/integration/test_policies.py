"""What happens by itself, and with whose data: the gate, trust, policies, captures, stages, deadlines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.wire.convert import to_duration_message, to_timestamp
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, policy_pb2, spectrum_pb2, training_service_pb2
from bandwatch.wire.v1.model_pb2 import (
    TRAINING_RUN_STATE_CANCELLED,
    TRAINING_RUN_STATE_FAILED,
    RolloutPlan,
    StudentSpec,
    TeacherSpec,
    TrainingRun,
)
from coordinator import parts
from coordinator.registry import entities
from coordinator.registry.incidents import Event, EventKind, Incident, Severity, Verdict
from coordinator.registry.rollouts import ScoreReport, StatisticsReport
from coordinator.registry.session import Registry
from coordinator.services.housekeeping import Chore, Housekeeping
from coordinator.services.training import runs, stages, upkeep
from tests.integration.conftest import Coordinator, Network
from tests.integration.honest_segments import BOOT, upload
from tests.integration.trained_models import content, store_blobs

LIMITS = upkeep.Limits(open_runs=2, rest=timedelta(hours=1))


@pytest.fixture
async def registry(coordinator: Coordinator) -> AsyncIterator[Registry]:
    """Give the coordinator's database, as its schedule has it."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=2)
    yield registry
    await registry.close()


async def send(coordinator: Coordinator, network: Network, *requests: Any, observer: str = "roof") -> None:
    async with coordinator.observer(network.tokens[observer]) as service:
        answers = [answer async for answer in service.UploadSegments(iter(requests))]
    assert [(answer.outcome, answer.reason) for answer in answers] == [(1, "")] * len(requests)


def of_van(number: int, **changes: Any) -> Any:
    return upload(number, observer="observers/van", cell="cells/elm", **changes)


async def order(coordinator: Coordinator, run: TrainingRun, run_id: str) -> TrainingRun:
    async with coordinator.admin() as admin:
        request = admin_service_pb2.CreateTrainingRunRequest(run=run, run_id=run_id)
        return (await admin.CreateTrainingRun(request)).run


def teacher(**changes: Any) -> TrainingRun:
    spec = TeacherSpec(band="bands/north", max_epochs=1, stride_frames=5)
    return TrainingRun(teacher=spec, release_on_success=True, plan=RolloutPlan(at_once=True), **changes)


async def claim(coordinator: Coordinator, run_id: str) -> training_service_pb2.Lease:
    async with coordinator.training() as service:
        request = training_service_pb2.ClaimRunRequest(run=f"runs/{run_id}")
        return (await service.ClaimRun(request)).lease


async def finish(coordinator: Coordinator, run_id: str, parent: str = "", seed: int = 1) -> str:
    """Claim a run, finish it, and return the model."""
    lease = await claim(coordinator, run_id)
    async with coordinator.training() as service:
        await store_blobs(service, seed)
        made = content(seed, parent_error_db=2.6 if parent else None)
        request = training_service_pb2.FinishRunRequest(lease=lease, content=made, parent=parent)
        return (await service.FinishRun(request)).model.name


async def read(coordinator: Coordinator, run_id: str) -> TrainingRun:
    async with coordinator.admin() as admin:
        return (await admin.GetTrainingRun(admin_service_pb2.GetTrainingRunRequest(name=f"runs/{run_id}"))).run


async def list_runs(coordinator: Coordinator) -> list[TrainingRun]:
    async with coordinator.admin() as admin:
        return list((await admin.ListTrainingRuns(admin_service_pb2.ListTrainingRunsRequest())).runs)


async def sync(coordinator: Coordinator, network: Network, observer: str = "roof", **state: Any) -> Any:
    async with coordinator.observer(network.tokens[observer]) as service:
        reported = observer_service_pb2.ReportedState(agent_version="1", **state)
        return (await service.Sync(observer_service_pb2.SyncRequest(state=reported))).desired


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def put_policy(coordinator: Coordinator, target: str = "bands/north", **changes: Any) -> None:
    fields: dict[str, Any] = {
        "target": target,
        "enabled": True,
        "student_data": to_duration_message(timedelta(seconds=0.1)),
        "refit_on_drift": True,
        "frozen_layers": 2,
        "max_epochs": 1,
        "stride_frames": 5,
        "plan": RolloutPlan(at_once=True),
        **changes,
    }
    async with coordinator.admin() as admin:
        policy = policy_pb2.Policy(**fields)
        await admin.CreatePolicy(policy_pb2.CreatePolicyRequest(policy_id="usual", policy=policy))


async def remark(coordinator: Coordinator) -> str:
    async with coordinator.admin() as admin:
        (policy,) = (await admin.ListPolicies(policy_pb2.ListPoliciesRequest())).policies
        return policy.remark


async def keep_up(registry: Registry, coordinator: Coordinator, limits: upkeep.Limits = LIMITS) -> None:
    async with registry.transaction() as session:
        await upkeep.keep_up(session, parts.data_rules(coordinator.settings), limits)


async def data_of(coordinator: Coordinator, cell: str = "cells/oak") -> policy_pb2.GetCellDataResponse:
    async with coordinator.admin() as admin:
        return await admin.GetCellData(policy_pb2.GetCellDataRequest(cell=cell))


async def test_every_refusal_of_the_gate_is_counted_by_its_reason(coordinator: Coordinator, network: Network) -> None:
    await send(
        coordinator,
        network,
        upload(1),
        upload(2, quality={"clipped_share": 0.5}),
        upload(3, quality={"lost_samples": 1}),
        upload(4, quality={"gain_changed": True}),
        upload(5, quality={"noise_only": True}),
        upload(6, clock_error=to_duration_message(timedelta(seconds=2))),
        upload(7, self_test="selfTests/s1"),
        upload(8, anomalous_windows=5, scored_by_serial=1),
        upload(9, purpose=spectrum_pb2.PURPOSE_EVIDENCE),
        upload(10, quality={"clipped_share": 0.5, "noise_only": True}),
    )
    data = await data_of(coordinator)
    assert (data.segments, data.clean_segments) == (10, 1)
    assert data.clean_duration.ToMilliseconds() == 128
    assert {refusal.reason: refusal.segments for refusal in data.refusals} == {
        "clipped": 2,
        "lost samples": 1,
        "with a change of gain": 1,
        "noise only": 2,
        "with an uncertain clock": 1,
        "with a self-test in them": 1,
        "flagged as anomalous": 1,
        "not uploaded for training": 1,
    }


async def test_data_of_an_observer_trains_once_it_is_trusted(coordinator: Coordinator, network: Network) -> None:
    await send(coordinator, network, upload(1))
    clean = []
    async with coordinator.admin() as admin:
        for trust in (spectrum_pb2.TRUST_PROBATION, spectrum_pb2.TRUST_TRUSTED):
            await admin.SetObserverTrust(policy_pb2.SetObserverTrustRequest(name="observers/roof", trust=trust))
            data = await data_of(coordinator)
            clean.append((data.clean_segments, [refusal.reason for refusal in data.refusals]))
    assert clean == [(0, ["of an observer on probation"]), (1, [])]


async def test_a_new_observer_is_on_probation_unless_it_is_said_to_be_trusted(
    coordinator: Coordinator,
    network: Network,  # noqa: ARG001 - its cells and observers must be there
) -> None:
    async with coordinator.admin() as admin:
        wanted = admin_service_pb2.Observer(cell="cells/oak", mobility=spectrum_pb2.MOBILITY_STATIC)
        made = await admin.CreateObserver(admin_service_pb2.CreateObserverRequest(observer_id="mast", observer=wanted))
        listed = await admin.ListObservers(admin_service_pb2.ListObserversRequest())
    assert made.observer.trust == spectrum_pb2.TRUST_PROBATION
    assert {observer.name: observer.trust for observer in listed.observers}["observers/roof"] == 1


async def test_an_event_that_nobody_judged_keeps_the_data_of_its_time_out(
    coordinator: Coordinator, network: Network, registry: Registry
) -> None:
    await send(coordinator, network, upload(1))
    async with registry.transaction() as session:
        start_at = await session.scalar(select(entities.Segment.start_at))
        session.add(_event_at(start_at))
    data = await data_of(coordinator)
    assert [(refusal.reason, refusal.segments) for refusal in data.refusals] == [
        ("at the time of an incident that is not excused", 1)
    ]


def _event_at(start_at: Any) -> Event:
    return Event(
        observer_id="roof",
        id="0" * 32,
        boot_id=BOOT,
        sequence=1,
        cell_id="oak",
        low_hz=880e6,
        high_hz=881e6,
        start_at=start_at,
        kind=EventKind.NARROWBAND,
        kind_confidence=1.0,
        severity=Severity.LOW,
        windows=10,
        anomalous_windows=9,
        score="combined",
        peak_value=9.0,
        threshold=3.0,
        serial=1,
        excess_db=10.0,
    )


async def test_a_revoked_observer_is_shut_out_its_models_are_listed_and_those_in_force_replaced(
    coordinator: Coordinator, network: Network
) -> None:
    await send(coordinator, network, upload(1))
    await send(coordinator, network, of_van(1), observer="van")
    await order(coordinator, teacher(), "first")
    model = await finish(coordinator, "first")
    spec = StudentSpec(cell="cells/elm", frozen_layers=2, max_epochs=1, stride_frames=5)
    await order(coordinator, TrainingRun(student=spec, release_on_success=True), "second")
    student = await finish(coordinator, "second", parent=model, seed=2)
    async with coordinator.admin() as admin:
        request = policy_pb2.RevokeObserverRequest(name="observers/roof", replace_models=True)
        revoked = await admin.RevokeObserver(request)
        again = await admin.RevokeObserver(policy_pb2.RevokeObserverRequest(name="observers/roof"))
        trust = policy_pb2.SetObserverTrustRequest(name="observers/roof", trust=spectrum_pb2.TRUST_TRUSTED)
        code, _ = await refused(admin.SetObserverTrust(trust))
    assert (revoked.segments, list(revoked.models)) == (1, [student, model])
    assert list(again.models) == list(revoked.models)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert (await refused(sync(coordinator, network)))[0] in (
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNAVAILABLE,
    )
    replacements = [await read(coordinator, name.removeprefix("runs/")) for name in revoked.runs]
    assert [run.WhichOneof("spec") for run in replacements] in (["teacher"], ["teacher", "student"])
    assert all(run.segment_count == 1 for run in replacements)  # only what the van sent
    assert all(model not in run.student.teachers for run in replacements)


async def test_a_cancelled_run_ends_and_its_worker_stops(coordinator: Coordinator, network: Network) -> None:
    await send(coordinator, network, upload(1))
    await order(coordinator, teacher(), "first")
    lease = await claim(coordinator, "first")
    async with coordinator.admin() as admin:
        request = admin_service_pb2.CancelTrainingRunRequest(name="runs/first")
        states = [(await admin.CancelTrainingRun(request)).run.state for _ in range(2)]
    async with coordinator.training() as service:
        progress = training_service_pb2.ReportProgressRequest(lease=lease)
        code, _ = await refused(service.ReportProgress(progress))
        claiming = training_service_pb2.ClaimRunRequest(run="runs/first")
        claimed, _ = await refused(service.ClaimRun(claiming))
    assert states == [TRAINING_RUN_STATE_CANCELLED] * 2
    assert code is grpc.StatusCode.ABORTED
    assert claimed is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_run_that_has_ended_cannot_be_cancelled(coordinator: Coordinator, network: Network) -> None:
    await send(coordinator, network, upload(1))
    await order(coordinator, teacher(), "first")
    await finish(coordinator, "first")
    async with coordinator.admin() as admin:
        request = admin_service_pb2.CancelTrainingRunRequest(name="runs/first")
        assert (await refused(admin.CancelTrainingRun(request)))[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_run_ends_at_its_deadline_and_has_one_from_its_first_claim(
    coordinator: Coordinator, network: Network, registry: Registry
) -> None:
    await send(coordinator, network, upload(1))
    given = await order(
        coordinator, teacher(deadline_time=to_timestamp(datetime.now(UTC) - timedelta(hours=1))), "first"
    )
    await order(coordinator, teacher(), "second")
    await claim(coordinator, "second")
    async with registry.transaction() as session:
        ended = await runs.end_overdue(session)
    assert given.deadline_time.ToDatetime() < given.create_time.ToDatetime()
    assert ended == ["first"]
    late, running = await read(coordinator, "first"), await read(coordinator, "second")
    assert (late.state, late.last_error) == (TRAINING_RUN_STATE_FAILED, "not done by its deadline")
    left = running.deadline_time.ToDatetime() - running.start_time.ToDatetime()
    assert left == timedelta(hours=6)


@pytest.fixture
async def taught(coordinator: Coordinator, network: Network) -> Coordinator:
    """Give a coordinator with a teacher in force, and clean data of both cells."""
    await send(coordinator, network, upload(1))
    await send(coordinator, network, of_van(1), observer="van")
    await order(coordinator, teacher(), "first")
    await finish(coordinator, "first")
    return coordinator


async def test_cells_with_a_teacher_and_data_and_no_student_get_one_each_and_once(
    taught: Coordinator, registry: Registry
) -> None:
    await put_policy(taught)
    for _ in range(3):
        await keep_up(registry, taught)
    ordered = [run for run in await list_runs(taught) if run.policy]
    assert sorted(run.student.cell for run in ordered) == ["cells/elm", "cells/oak"]
    assert {run.policy for run in ordered} == {"policies/usual"}
    assert all(run.release_on_success and run.plan.at_once for run in ordered)
    assert "it has no student; runs/" in await remark(taught)


async def test_no_more_runs_are_open_than_the_limit_allows(taught: Coordinator, registry: Registry) -> None:
    await put_policy(taught)
    for _ in range(2):
        await keep_up(registry, taught, upkeep.Limits(open_runs=1, rest=timedelta(hours=1)))
    assert len([run for run in await list_runs(taught) if run.policy]) == 1
    assert "1 runs are open, and 1 may be" in await remark(taught)


async def test_a_disabled_policy_of_a_cell_keeps_its_bands_policy_away(taught: Coordinator, registry: Registry) -> None:
    await put_policy(taught)
    async with taught.admin() as admin:
        own = policy_pb2.Policy(target="cells/oak", enabled=False, max_epochs=1, stride_frames=5)
        await admin.CreatePolicy(policy_pb2.CreatePolicyRequest(policy_id="own", policy=own))
        same = policy_pb2.CreatePolicyRequest(policy_id="rival", policy=own)
        assert (await refused(admin.CreatePolicy(same)))[0] is grpc.StatusCode.ALREADY_EXISTS
    await keep_up(registry, taught)
    assert [run.student.cell for run in await list_runs(taught) if run.policy] == ["cells/elm"]


async def test_after_a_run_that_came_to_nothing_the_policy_rests(taught: Coordinator, registry: Registry) -> None:
    await put_policy(taught, target="cells/oak")
    await keep_up(registry, taught)
    (run,) = [run for run in await list_runs(taught) if run.policy]
    async with taught.admin() as admin:
        await admin.CancelTrainingRun(admin_service_pb2.CancelTrainingRunRequest(name=run.name))
    await keep_up(registry, taught)
    assert "the last run came to nothing" in await remark(taught)
    await keep_up(registry, taught, upkeep.Limits(open_runs=2, rest=timedelta(microseconds=1)))
    assert len([run for run in await list_runs(taught) if run.policy]) == 2


async def test_where_data_is_short_observers_of_the_cell_are_asked_for_more_within_their_budgets(
    taught: Coordinator, network: Network, registry: Registry
) -> None:
    await put_policy(taught, target="cells/oak", student_data=to_duration_message(timedelta(seconds=60)))
    reported: dict[str, Any] = {"upload_budget_bytes": 10_000_000, "uploaded_today_bytes": 3_000_000}
    before = await sync(taught, network, **reported)
    for _ in range(2):
        await keep_up(registry, taught)
    after = await sync(taught, network, **reported)
    other = await sync(taught, network, "van")
    assert not before.HasField("capture")
    assert not other.HasField("capture")
    assert after.revision == before.revision + 1
    assert after.capture.cell == "cells/oak"
    left_s = (0.8 * 10_000_000 - 3_000_000) / 128 * 256e-6
    assert after.capture.duration.ToMilliseconds() == pytest.approx(left_s * 1000, abs=2)
    assert "more was asked for" in await remark(taught)


async def test_the_stages_of_a_run_tell_when_its_model_ran_everywhere(
    taught: Coordinator, network: Network, registry: Registry
) -> None:
    await put_policy(taught, target="cells/oak")
    await sync(taught, network)
    await keep_up(registry, taught)
    (run,) = [run for run in await list_runs(taught) if run.policy]
    run_id = run.name.removeprefix("runs/")
    (parent,) = run.student.teachers
    await finish(taught, run_id, parent=parent, seed=2)
    seen = []
    for serial in (0, (await sync(taught, network)).release.serial):
        await sync(taught, network, running_serial=serial)
        async with registry.transaction() as session:
            await stages.follow(session)
        seen.append(await read(taught, run_id))
    names = [[stage.stage for stage in run.stages] for run in seen]
    assert names[0] == ["ordered", "claimed", "trained", "released", "active"]
    assert names[1] == [*names[0], "running everywhere"]
    times = [stage.time.ToDatetime() for stage in seen[1].stages]
    assert times == sorted(times)
    assert seen[1].release.startswith("releases/")


async def test_a_drifted_student_is_refitted_on_newer_data_and_not_while_an_incident_goes_on(
    taught: Coordinator, network: Network, registry: Registry
) -> None:
    await put_policy(taught, target="cells/oak")
    await keep_up(registry, taught)
    (run,) = [run for run in await list_runs(taught) if run.policy]
    (parent,) = run.student.teachers
    await finish(taught, run.name.removeprefix("runs/"), parent=parent, seed=2)
    serial = (await sync(taught, network)).release.serial
    remarks = []
    async with registry.transaction() as session:
        for row in _drifted(serial):
            session.add(row)
            await session.flush()
    await keep_up(registry, taught)
    remarks.append(await remark(taught))
    await send(taught, network, upload(2, start_time=to_timestamp(datetime.now(UTC))))
    async with registry.transaction() as session:
        session.add(_incident())
    await keep_up(registry, taught)
    remarks.append(await remark(taught))
    async with registry.transaction() as session:
        await session.execute(update(Incident).values(verdict=Verdict.KNOWN))
    await keep_up(registry, taught)
    remarks.append(await remark(taught))
    drifted = "its student drifted (error 3.50 dB, calibrated at 2.50)"
    assert remarks[0].startswith(f"cells/oak: {drifted}; 0 s of 0 s are clean")
    assert "incidents/i-1 is to be judged first" in remarks[1]
    assert remarks[2].startswith("cells/oak: ordered runs/")
    assert drifted in remarks[2]


def _drifted(serial: int) -> list[Any]:
    """Return the report of a span in which the student's error was 1 dB above what it was calibrated for."""
    end_at = datetime.now(UTC)
    key = {"observer_id": "roof", "boot_id": BOOT, "sequence": 1}
    span = StatisticsReport(
        **key,
        cell_id="oak",
        start_at=end_at - timedelta(seconds=60),
        duration=timedelta(seconds=60),
        end_at=end_at,
        frames=234_375,
        power_dbm=-90.0,
        noise_floor_dbm=-110.0,
        clipped_share=0.0,
        lost_samples=0,
        noise_only_share=0.0,
    )
    scores = ScoreReport(
        **key,
        serial=serial,
        shadow=False,
        windows=2000,
        anomalous_windows=20,
        unscored_windows=0,
        error_sum_db=7000.0,
        error_square_sum_db2=25_000.0,
        false_alarm_rate=0.01,
        scoring_duration=timedelta(seconds=1),
    )
    return [span, scores]


def _incident() -> Incident:
    return Incident(
        id="i-1",
        band_id="north",
        cell_id="oak",
        low_hz=880e6,
        high_hz=881e6,
        start_at=datetime.now(UTC) - timedelta(seconds=10),
        kind=EventKind.NARROWBAND,
        kind_confidence=1.0,
        severity=Severity.LOW,
        peak_value=9.0,
    )


async def test_one_chore_that_fails_stops_no_other(registry: Registry) -> None:
    done: list[int] = []

    async def fail(session: AsyncSession) -> None:
        await session.execute(update(entities.Band).values(title="half done"))
        raise ValueError("a fault of the programmer")

    async def work(session: AsyncSession) -> None:
        done.extend(await session.scalars(select(func.count()).where(entities.Band.title == "half done")))

    housekeeping = Housekeeping(registry, [Chore("broken", 1000.0, fail), Chore("sound", 1000.0, work)])
    await housekeeping.look_after()
    await housekeeping.look_after()  # neither is due again
    assert done == [0]
