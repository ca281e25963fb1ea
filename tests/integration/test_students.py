"""How a student is ordered, what it starts from, and whether it is released."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.wire.content import content_from_message
from bandwatch.wire.v1 import admin_service_pb2, model_pb2, training_service_pb2
from bandwatch.wire.v1.model_pb2 import (
    RELEASE_STATE_ACTIVE,
    TRAINING_RUN_STATE_SUCCEEDED,
    RolloutPlan,
    StudentSpec,
    TeacherSpec,
    TrainingRun,
)
from bandwatch.wire.v1.observer_service_pb2 import UPLOAD_OUTCOME_STORED
from coordinator.registry import entities
from coordinator.registry.session import Registry
from tests.integration.conftest import Coordinator, Network
from tests.integration.honest_segments import upload
from tests.integration.trained_models import content, store_blobs
from training_worker.attempts import from_json, to_json
from training_worker.coordinator_client import ClaimedRun, StudentOrder, TeacherOrder, TrainingClient

AT_ONCE = RolloutPlan(at_once=True)


@pytest.fixture
async def trained_cells(coordinator: Coordinator, network: Network) -> Coordinator:
    """Give a coordinator with data of both cells, and no model."""
    for observer, cell in (("roof", "oak"), ("van", "elm")):
        async with coordinator.observer(network.tokens[observer]) as service:
            request = upload(1, observer=f"observers/{observer}", cell=f"cells/{cell}")
            answers = [answer.outcome async for answer in service.UploadSegments(iter([request]))]
            assert answers == [UPLOAD_OUTCOME_STORED]
    return coordinator


def student(cell: str = "oak", **changes: Any) -> TrainingRun:
    spec = {"cell": f"cells/{cell}", "frozen_layers": 2, "max_epochs": 1, "stride_frames": 5, **changes}
    return TrainingRun(student=StudentSpec(**spec), release_on_success=True, plan=AT_ONCE)


def teacher(**changes: Any) -> TrainingRun:
    spec = {"band": "bands/north", "max_epochs": 1, "stride_frames": 5, **changes}
    return TrainingRun(teacher=TeacherSpec(**spec), release_on_success=True, plan=AT_ONCE)


async def order(coordinator: Coordinator, run: TrainingRun, run_id: str) -> TrainingRun:
    async with coordinator.admin() as admin:
        request = admin_service_pb2.CreateTrainingRunRequest(run=run, run_id=run_id)
        return (await admin.CreateTrainingRun(request)).run


async def read(coordinator: Coordinator, run_id: str) -> TrainingRun:
    async with coordinator.admin() as admin:
        return (await admin.GetTrainingRun(admin_service_pb2.GetTrainingRunRequest(name=f"runs/{run_id}"))).run


async def claim(coordinator: Coordinator, run_id: str) -> training_service_pb2.ClaimRunResponse:
    async with coordinator.training() as service:
        return await service.ClaimRun(training_service_pb2.ClaimRunRequest(run=f"runs/{run_id}"))


async def finish(
    coordinator: Coordinator, lease: training_service_pb2.Lease, made: model_pb2.ModelContent, parent: str = ""
) -> training_service_pb2.FinishRunResponse:
    async with coordinator.training() as service:
        await store_blobs(service)
        request = training_service_pb2.FinishRunRequest(lease=lease, content=made, parent=parent)
        return await service.FinishRun(request)


async def build(
    coordinator: Coordinator, run: TrainingRun, run_id: str, parent: str = ""
) -> training_service_pb2.FinishRunResponse:
    """Order a run and finish it at once; a student is better than its parent."""
    await order(coordinator, run, run_id)
    made = content(parent_error_db=2.6) if parent else content()
    return await finish(coordinator, (await claim(coordinator, run_id)).lease, made, parent)


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


@pytest.mark.parametrize("error_db", [2.91, 2.88])
async def test_a_student_that_does_not_beat_its_teacher_is_registered_and_not_released_and_the_run_says_why(
    trained_cells: Coordinator, error_db: float
) -> None:
    first = await build(trained_cells, teacher(), "first")
    await order(trained_cells, student(teachers=[first.model.name]), "second")
    lease = (await claim(trained_cells, "second")).lease
    made = content(error_db=error_db, parent_error_db=2.88)
    finished = await finish(trained_cells, lease, made, first.model.name)
    again = await finish(trained_cells, lease, made, first.model.name)
    run = await read(trained_cells, "second")
    assert not finished.HasField("release")
    assert (again.model.name, again.HasField("release")) == (finished.model.name, False)
    assert (run.state, run.model, run.last_error) == (TRAINING_RUN_STATE_SUCCEEDED, finished.model.name, "")
    assert run.remark == (
        f"the student's error of {error_db:.2f} dB is not below its teacher's 2.88 dB on held-out blocks: not released"
    )
    async with trained_cells.admin() as admin:
        listed = await admin.ListObservers(admin_service_pb2.ListObserversRequest())
        assert {observer.desired_serial for observer in listed.observers} == {first.release.serial}
        by_hand = await admin.CreateRelease(
            admin_service_pb2.CreateReleaseRequest(model=finished.model.name, plan=AT_ONCE)
        )
    assert (by_hand.release.state, by_hand.release.cell) == (RELEASE_STATE_ACTIVE, "cells/oak")


async def test_a_student_that_beats_its_teacher_is_released_without_a_remark(trained_cells: Coordinator) -> None:
    first = await build(trained_cells, teacher(), "first")
    made = await build(trained_cells, student(teachers=[first.model.name]), "second", first.model.name)
    assert made.release.serial > first.release.serial
    assert (made.model.parent, made.model.cell) == (first.model.name, "cells/oak")
    assert (await read(trained_cells, "second")).remark == ""


async def test_a_model_comes_back_with_its_scores_candidates_and_choice(trained_cells: Coordinator) -> None:
    made = await build(trained_cells, teacher(), "first")
    async with trained_cells.admin() as admin:
        model = (await admin.GetModel(admin_service_pb2.GetModelRequest(name=made.model.name))).model
    assert model.content == content()


async def test_a_student_without_a_named_teacher_gets_those_in_force_elsewhere_when_it_is_ordered(
    trained_cells: Coordinator,
) -> None:
    band = (await build(trained_cells, teacher(), "first")).model.name
    await build(trained_cells, student("oak", teachers=[band]), "own", band)
    neighbour = (await build(trained_cells, student("elm", teachers=[band]), "neighbour", band)).model.name
    ordered = await order(trained_cells, student("oak"), "open")
    assert list(ordered.student.teachers) == [neighbour, band]

    newer = (await build(trained_cells, teacher(), "newer")).model.name
    assert await order(trained_cells, student("oak"), "open") == ordered
    assert list((await claim(trained_cells, "open")).run.student.teachers) == [neighbour, band]
    assert list((await order(trained_cells, student("oak"), "later")).student.teachers) == [newer, neighbour]
    named = student("oak", teachers=[neighbour, band])
    assert (await refused(order(trained_cells, named, "open")))[0] is grpc.StatusCode.ALREADY_EXISTS


async def test_a_student_chooses_among_sixteen_teachers_at_most_the_newest(trained_cells: Coordinator) -> None:
    async with trained_cells.admin() as admin:
        for number in range(17):
            request = admin_service_pb2.CreateCellRequest(cell_id=f"c{number}")
            request.cell.band = "bands/north"
            await admin.CreateCell(request)
    first = (await build(trained_cells, teacher(), "first")).model.name.removeprefix("models/")
    registry = Registry(trained_cells.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        run, model = await session.get_one(entities.TrainingRun, "first"), await session.get_one(entities.Model, first)
        for number in range(17):
            copy = {"kind": run.kind, "order": run.order, "state": run.state, "segment_count": 1, "seed": 0}
            session.add(entities.TrainingRun(id=f"r{number}", release_on_success=False, **copy))
            await session.flush()
            place = {"band_id": "north", "cell_id": f"c{number}"}
            session.add(entities.Model(id=f"m{number}", run_id=f"r{number}", content=model.content, **place))
            await session.flush()
            manifest = {"manifest_digest": "d", "manifest_bytes": 1}
            session.add(
                entities.Release(model_id=f"m{number}", state=entities.ReleaseState.ACTIVE, **place, **manifest)
            )
            await session.flush()
    await registry.close()
    ordered = await order(trained_cells, student("oak"), "open")
    assert list(ordered.student.teachers) == [f"models/m{number}" for number in range(16, 0, -1)]


@pytest.mark.parametrize("families", [[], ["lstm-predictor", "hybrid"]])
async def test_without_any_teacher_in_force_a_student_is_refused_with_what_to_do(
    trained_cells: Coordinator, families: list[str]
) -> None:
    code, sentence = await refused(order(trained_cells, student(families=families), "open"))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    for advice in ("release a teacher first", "name a model", "linear"):
        assert advice in sentence


async def test_a_family_that_needs_no_teacher_is_built_and_released_without_one(trained_cells: Coordinator) -> None:
    ordered = await order(trained_cells, student(families=["linear"]), "open")
    assert (list(ordered.student.teachers), list(ordered.student.families)) == ([], ["linear"])
    made = await finish(trained_cells, (await claim(trained_cells, "open")).lease, content())
    assert (made.model.parent, made.release.cell) == ("", "cells/oak")


async def test_a_teacher_that_does_not_exist_is_refused(trained_cells: Coordinator) -> None:
    code, sentence = await refused(order(trained_cells, student(teachers=["models/nowhere"]), "open"))
    assert (code, "models/nowhere" in sentence) == (grpc.StatusCode.NOT_FOUND, True)


async def test_a_parent_must_be_a_teacher_of_the_order_and_its_error_known(trained_cells: Coordinator) -> None:
    first, other = [(await build(trained_cells, teacher(), name)).model.name for name in ("a", "b")]
    await order(trained_cells, student(teachers=[first]), "open")
    lease = (await claim(trained_cells, "open")).lease
    for made, parent, sentence in (
        (content(parent_error_db=2.6), other, "none of the 1 teachers"),
        (content(), first, f"the error of {first} is missing"),
    ):
        code, details = await refused(finish(trained_cells, lease, made, parent))
        assert (code, sentence in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert (await finish(trained_cells, lease, content(parent_error_db=2.6), first)).model.parent == first


async def test_a_teacher_has_no_parent(trained_cells: Coordinator) -> None:
    first = (await build(trained_cells, teacher(), "first")).model.name
    await order(trained_cells, teacher(family="autoencoder", layers=6), "second")
    claimed = await claim(trained_cells, "second")
    assert (claimed.run.teacher.family, claimed.run.teacher.layers) == ("autoencoder", 6)
    code, _ = await refused(finish(trained_cells, claimed.lease, content(parent_error_db=2.6), first))
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_worker_hears_the_whole_order_hands_it_to_its_attempt_and_names_the_parent(
    trained_cells: Coordinator, tmp_path: Path
) -> None:
    first, second = [(await build(trained_cells, teacher(), name)).model.name for name in ("a", "b")]
    wanted = student(teachers=[first, second], families=["hybrid", "linear"])
    await order(trained_cells, wanted, "student")
    await order(trained_cells, teacher(family="autoencoder", layers=6), "teacher")
    async with trained_cells.training() as service:
        await store_blobs(service)

    identity = await trained_cells.worker()

    def work() -> tuple[ClaimedRun, ClaimedRun]:
        with TrainingClient(identity, BlobStore(tmp_path / "blobs"), trained_cells.member_address) as client:
            claimed = client.claim("runs/student"), client.claim("runs/teacher")
            made = content_from_message(content(parent_error_db=2.6))
            assert client.content(client.finish(claimed[0].lease, made, second)) == made
            client.finish(claimed[1].lease, content_from_message(content()), None)
        return claimed

    claimed = await asyncio.to_thread(work)
    assert [from_json(to_json(run)) for run in claimed] == list(claimed)
    assert claimed[0].order == StudentOrder((first, second), ("hybrid", "linear"), 2, 1, 5)
    assert claimed[1].order == TeacherOrder("autoencoder", 6, 1, 5)
    async with trained_cells.admin() as admin:
        models = (await admin.ListModels(admin_service_pb2.ListModelsRequest())).models
    assert [model.parent for model in models if model.run == "runs/student"] == [second]


async def write_order(coordinator: Coordinator, run_id: str, plain: dict[str, object]) -> None:
    """Write an order as an earlier version did."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        statement = text('UPDATE training_runs SET "order" = CAST(:order AS jsonb) WHERE id = :id')
        await session.execute(statement, {"order": json.dumps(plain), "id": run_id})
    await registry.close()


async def test_orders_that_an_earlier_version_wrote_down_are_claimed_and_finished(trained_cells: Coordinator) -> None:
    first = (await build(trained_cells, teacher(), "first")).model.name
    await order(trained_cells, student(teachers=[first]), "student")
    await order(trained_cells, teacher(), "teacher")
    sizes: dict[str, object] = {"max_epochs": 1, "stride_frames": 5}
    teacher_id = first.removeprefix("models/")
    await write_order(
        trained_cells, "student", {"cell_id": "oak", "teacher_id": teacher_id, "frozen_layers": 2, **sizes}
    )
    await write_order(trained_cells, "teacher", {"band_id": "north", "cell_ids": [], **sizes})
    assert list((await order(trained_cells, student(teachers=[first]), "student")).student.teachers) == [first]
    claimed = {name: await claim(trained_cells, name) for name in ("student", "teacher")}
    assert list(claimed["student"].run.student.teachers) == [first]
    assert (claimed["teacher"].run.teacher.family, claimed["teacher"].run.teacher.layers) == ("", 0)
    made = await finish(trained_cells, claimed["student"].lease, content(parent_error_db=2.6), first)
    assert made.model.parent == first
    assert (await finish(trained_cells, claimed["teacher"].lease, content())).model.band == "bands/north"


async def test_models_that_an_earlier_version_stored_are_read_and_released(trained_cells: Coordinator) -> None:
    made = await build(trained_cells, teacher(), "first")
    registry = Registry(trained_cells.settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        await session.execute(
            text(
                "UPDATE models SET content = content - 'scores' - 'default_score' - 'candidates' - 'choice' || "
                '\'{"thresholds": [{"false_alarm_rate": 0.01, "gaussian_db": 3.0, "empirical_db": 3.5}]}\'::jsonb'
            )
        )
    await registry.close()
    async with trained_cells.admin() as admin:
        model = (await admin.GetModel(admin_service_pb2.GetModelRequest(name=made.model.name))).model
        again = await admin.CreateRelease(admin_service_pb2.CreateReleaseRequest(model=made.model.name, plan=AT_ONCE))
    [table] = model.content.scores
    assert (table.score, model.content.default_score, table.thresholds[0].bound) == ("error", "error", 3.5)
    assert again.release.serial > made.release.serial
