"""Training runs: the row is the truth, whatever happens to workers and to the broker."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import grpc
import pytest
import redis
from sqlalchemy import text

from bandwatch.artifacts.manifest import Manifest
from bandwatch.wire.v1 import admin_service_pb2, model_pb2, observer_service_pb2, training_service_pb2
from bandwatch.wire.v1.model_pb2 import (
    TRAINING_RUN_STATE_FAILED,
    TRAINING_RUN_STATE_QUEUED,
    TRAINING_RUN_STATE_RUNNING,
    TRAINING_RUN_STATE_SUCCEEDED,
    RolloutPlan,
    TrainingRun,
)
from coordinator import app
from coordinator.jobs import TRAINING_QUEUE, Broker
from coordinator.registry.session import Registry
from coordinator.services.training import runs
from tests.integration.conftest import Coordinator, Network, StartCoordinator
from tests.integration.honest_segments import upload
from tests.integration.trained_models import content, store_blobs

AT_ONCE = RolloutPlan(at_once=True)


def _teacher(*, release: bool = False, seed: int = 0) -> TrainingRun:
    spec = model_pb2.TeacherSpec(band="bands/north", max_epochs=5, stride_frames=5)
    return TrainingRun(teacher=spec, release_on_success=release, seed=seed, plan=AT_ONCE)


async def _upload(coordinator: Coordinator, network: Network, *numbers: int) -> None:
    async with coordinator.observer(network.tokens["roof"]) as service:
        async for _ in service.UploadSegments(iter([upload(number) for number in numbers])):
            pass


async def _order(coordinator: Coordinator, run: TrainingRun, run_id: str = "first") -> TrainingRun:
    async with coordinator.admin() as admin:
        request = admin_service_pb2.CreateTrainingRunRequest(run=run, run_id=run_id)
        return (await admin.CreateTrainingRun(request)).run


async def _run(coordinator: Coordinator, name: str = "runs/first") -> TrainingRun:
    async with coordinator.admin() as admin:
        return (await admin.GetTrainingRun(admin_service_pb2.GetTrainingRunRequest(name=name))).run


async def _claim(coordinator: Coordinator, worker: str = "workers/w1") -> training_service_pb2.ClaimRunResponse:
    async with coordinator.training(worker) as service:
        return await service.ClaimRun(training_service_pb2.ClaimRunRequest(run="runs/first"))


async def _finish(
    coordinator: Coordinator, lease: training_service_pb2.Lease
) -> training_service_pb2.FinishRunResponse:
    async with coordinator.training() as service:
        await store_blobs(service)
        return await service.FinishRun(training_service_pb2.FinishRunRequest(lease=lease, content=content()))


async def _refused(call: object) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc] # any awaitable call
    return caught.value


async def test_a_run_without_clean_data_is_refused_with_the_reasons(coordinator: Coordinator, network: Network) -> None:
    async with coordinator.observer(network.tokens["roof"]) as service:
        clipped = upload(1, quality={"clipped_share": 0.5})
        async for _ in service.UploadSegments(iter([clipped, upload(2, quality={"noise_only": True})])):
            pass
    error = await _refused(_order(coordinator, _teacher()))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "2 stored: 1 clipped, 1 noise only" in (error.details() or "")


async def test_a_run_keeps_the_list_of_segments_it_was_ordered_with(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1, 2)
    await _order(coordinator, _teacher())
    await _upload(coordinator, network, 3)
    claimed = await _claim(coordinator)
    async with coordinator.training() as service:
        page = await service.ListRunSegments(
            training_service_pb2.ListRunSegmentsRequest(lease=claimed.lease, page_size=1)
        )
        rest = await service.ListRunSegments(
            training_service_pb2.ListRunSegmentsRequest(lease=claimed.lease, page_token=page.next_page_token)
        )
    assert [segment.origin.sequence for segment in (*page.segments, *rest.segments)] == [1, 2]


@pytest.mark.fault("two schedules at the same time", "each run is announced once")
async def test_of_two_schedules_one_announces_each_run(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    for number in range(5):
        await _order(coordinator, _teacher(seed=number), f"run-{number}")
    url = coordinator.settings.sqlalchemy_url()
    registries = [Registry(url, connections=1) for _ in range(4)]

    async def due(registry: Registry) -> list[str]:
        async with registry.transaction() as session:
            return await runs.due(session, republish=timedelta(minutes=1))

    async with registries[0].transaction() as session:
        await session.execute(text("UPDATE training_runs SET published_at = NULL"))
    announced = await asyncio.gather(*(due(registry) for registry in registries))
    for registry in registries:
        await registry.close()
    assert sorted(run for found in announced for run in found) == [f"run-{number}" for number in range(5)]


async def test_ordering_again_under_the_same_name_gives_the_same_run(
    coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    first = await _order(coordinator, _teacher())
    second = await _order(coordinator, _teacher())
    other = model_pb2.TeacherSpec(band="bands/north", max_epochs=6, stride_frames=5)
    error = await _refused(_order(coordinator, TrainingRun(teacher=other)))
    assert first.create_time == second.create_time
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_only_one_of_two_workers_gets_a_run(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    answers = await asyncio.gather(_claim(coordinator), _claim(coordinator, "workers/w2"), return_exceptions=True)
    assert sum(isinstance(answer, training_service_pb2.ClaimRunResponse) for answer in answers) == 1


@pytest.mark.fault(
    "a worker that comes back after its lease ran out",
    "it can neither report nor finish; its heir can",
)
async def test_a_worker_that_lost_its_lease_can_neither_report_nor_finish(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    async with start_coordinator(lease_s=0.2) as hasty:
        await _order(hasty, _teacher())
        zombie = await _claim(hasty)
        heir = await _claim_when_free(hasty)
        report = training_service_pb2.ReportProgressRequest(lease=zombie.lease)
        async with hasty.training() as service:
            assert (await _refused(service.ReportProgress(report))).code() is grpc.StatusCode.ABORTED
        assert (await _refused(_finish(hasty, zombie.lease))).code() is grpc.StatusCode.ABORTED
        finished = await _finish(hasty, heir.lease)
        assert (await _run(hasty)).model == finished.model.name


async def _claim_when_free(coordinator: Coordinator) -> training_service_pb2.ClaimRunResponse:
    async with asyncio.timeout(20):
        while True:
            with suppress(grpc.aio.AioRpcError):
                return await _claim(coordinator)


@pytest.mark.fault(
    "a worker that uses another's lease",
    "it is refused",
)
async def test_a_lease_serves_only_the_worker_that_it_was_given_to(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    lease = (await _claim(coordinator)).lease
    async with coordinator.training("workers/w2") as thief:
        report = training_service_pb2.ReportProgressRequest(lease=lease)
        assert (await _refused(thief.ReportProgress(report))).code() is grpc.StatusCode.ABORTED
        listing = training_service_pb2.ListRunSegmentsRequest(lease=lease)
        assert (await _refused(thief.ListRunSegments(listing))).code() is grpc.StatusCode.ABORTED
    await _finish(coordinator, lease)


async def test_finishing_twice_gives_one_model(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher(release=True))
    claimed = await _claim(coordinator)
    first = await _finish(coordinator, claimed.lease)
    second = await _finish(coordinator, claimed.lease)
    assert first.model.name == second.model.name
    assert first.release.serial == second.release.serial > 0


async def test_a_model_whose_blobs_are_missing_is_refused(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    claimed = await _claim(coordinator)
    async with coordinator.training() as service:
        request = training_service_pb2.FinishRunRequest(lease=claimed.lease, content=content())
        assert (await _refused(service.FinishRun(request))).code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (await _run(coordinator)).state == TRAINING_RUN_STATE_RUNNING


async def test_a_failed_run_is_tried_again_until_its_attempts_are_used_up(
    coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    states = []
    for attempt in range(3):
        claimed = await _claim(coordinator)
        async with coordinator.training() as service:
            failed = await service.FailRun(
                training_service_pb2.FailRunRequest(lease=claimed.lease, error=f"crash {attempt}", retryable=True)
            )
        states.append(failed.run.state)
    assert states == [TRAINING_RUN_STATE_QUEUED, TRAINING_RUN_STATE_QUEUED, TRAINING_RUN_STATE_FAILED]
    assert (await _run(coordinator)).last_error == "crash 2"


async def test_an_attempt_whose_worker_was_stopped_does_not_count(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    for _ in range(5):
        claimed = await _claim(coordinator)
        async with coordinator.training() as service:
            request = training_service_pb2.FailRunRequest(
                lease=claimed.lease, error="the worker was stopped", retryable=True, interrupted=True
            )
            given_back = await service.FailRun(request)
    assert (given_back.run.state, given_back.run.attempts) == (TRAINING_RUN_STATE_QUEUED, 0)


async def test_ordering_again_with_another_seed_is_refused(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher(seed=1))
    assert (await _refused(_order(coordinator, _teacher(seed=2)))).code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.fault(
    "a run that ends every worker that takes it",
    "it fails for good after so many attempts, with its last error",
)
async def test_a_run_whose_workers_all_vanish_ends_as_failed(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    async with start_coordinator(lease_s=0.05, attempts=2) as hasty:
        await _order(hasty, _teacher())
        await _claim(hasty)
        await _claim_when_free(hasty)
        async with asyncio.timeout(20):
            while (await _run(hasty)).state != TRAINING_RUN_STATE_FAILED:
                await _sweep(hasty)
    assert "vanished" in (await _run(coordinator)).last_error


async def _sweep(coordinator: Coordinator) -> None:
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    broker = Broker(coordinator.settings.redis_url)
    try:
        await app.sweep(registry, broker, coordinator.settings)
    finally:
        broker.close()
        await registry.close()


async def test_a_flushed_broker_hears_of_waiting_runs_again(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    async with start_coordinator(republish_s=0.001) as hasty:
        with redis.Redis.from_url(hasty.settings.redis_url) as client:
            client.delete(TRAINING_QUEUE)
            await _order(hasty, _teacher())
            announced = client.llen(TRAINING_QUEUE)
            client.flushdb()
            await _sweep(hasty)
            again = client.llen(TRAINING_QUEUE)
            client.flushdb()
    assert (announced, again) == (1, 1)


@pytest.mark.fault(
    "a run ordered while Redis is away",
    "it is announced once Redis is back",
)
async def test_an_order_is_kept_while_the_broker_is_away_and_announced_later(
    start_coordinator: StartCoordinator, coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    async with start_coordinator(redis_url="redis://127.0.0.1:1/0") as cut_off:
        ordered = await _order(cut_off, _teacher())
    assert ordered.state == TRAINING_RUN_STATE_QUEUED
    with redis.Redis.from_url(coordinator.settings.redis_url) as client:
        client.flushdb()
        await _sweep(coordinator)
        assert client.llen(TRAINING_QUEUE) == 1
        client.flushdb()


async def test_a_release_is_signed_and_reaches_the_observers_it_concerns_at_once(
    coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher(release=True))
    claimed = await _claim(coordinator)
    async with coordinator.observer(network.tokens["van"]) as service:
        state = observer_service_pb2.ReportedState(agent_version="1")
        before = await service.Sync(observer_service_pb2.SyncRequest(state=state))
        watch = service.Watch(observer_service_pb2.WatchRequest(known_revision=before.desired.revision))
        finished = await _finish(coordinator, claimed.lease)
        hint = await asyncio.wait_for(aiter(watch).__anext__(), 20)
        after = await service.Sync(observer_service_pb2.SyncRequest(state=state))
        chunks = [
            part.chunk
            async for part in service.FetchBlob(
                observer_service_pb2.FetchBlobRequest(digest=after.desired.release.manifest.digest)
            )
        ]
    assert not before.desired.HasField("release")
    assert hint.revision == after.desired.revision > before.desired.revision
    manifest = Manifest.from_bytes(b"".join(chunks))
    assert (manifest.serial, manifest.model) == (finished.release.serial, finished.model.name)
    assert (manifest.band, manifest.cell) == ("bands/north", None)


async def test_a_cells_student_goes_before_its_bands_teacher(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher(release=True))
    teacher = await _finish(coordinator, (await _claim(coordinator)).lease)
    spec = model_pb2.StudentSpec(
        cell="cells/oak", teachers=[teacher.model.name], frozen_layers=2, max_epochs=1, stride_frames=5
    )
    await _order(coordinator, TrainingRun(student=spec, release_on_success=True, plan=AT_ONCE), "second")
    async with coordinator.training() as service:
        claimed = await service.ClaimRun(training_service_pb2.ClaimRunRequest(run="runs/second"))
        await store_blobs(service, seed=2)
        student = await service.FinishRun(
            training_service_pb2.FinishRunRequest(
                lease=claimed.lease, content=content(seed=2, parent_error_db=2.6), parent=teacher.model.name
            )
        )
    async with coordinator.admin() as admin:
        listed = await admin.ListObservers(admin_service_pb2.ListObserversRequest())
        releases = await admin.ListReleases(admin_service_pb2.ListReleasesRequest())
    assert {observer.name: observer.desired_serial for observer in listed.observers} == {
        "observers/roof": student.release.serial,
        "observers/van": teacher.release.serial,
    }
    assert student.model.parent == teacher.model.name
    assert [release.state for release in releases.releases] == [model_pb2.RELEASE_STATE_ACTIVE] * 2


async def test_releasing_an_older_model_again_gives_it_a_newer_serial(
    coordinator: Coordinator, network: Network
) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher(release=True))
    first = await _finish(coordinator, (await _claim(coordinator)).lease)
    async with coordinator.admin() as admin:
        again = await admin.CreateRelease(admin_service_pb2.CreateReleaseRequest(model=first.model.name, plan=AT_ONCE))
        listed = await admin.ListReleases(admin_service_pb2.ListReleasesRequest())
    assert again.release.serial > first.release.serial
    assert [release.state for release in listed.releases] == [
        model_pb2.RELEASE_STATE_ACTIVE,
        model_pb2.RELEASE_STATE_SUPERSEDED,
    ]


async def test_a_finished_run_cannot_be_claimed(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    await _finish(coordinator, (await _claim(coordinator)).lease)
    assert (await _refused(_claim(coordinator))).code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (await _run(coordinator)).state == TRAINING_RUN_STATE_SUCCEEDED


async def test_a_lease_lives_on_database_time(coordinator: Coordinator, network: Network) -> None:
    await _upload(coordinator, network, 1)
    await _order(coordinator, _teacher())
    await _claim(coordinator)
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        left = await session.scalar(text("SELECT lease_until - now() FROM training_runs WHERE id = 'first'"))
    await registry.close()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)
