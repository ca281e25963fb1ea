"""A network that was trained elsewhere, as a model of a band."""

import asyncio
from pathlib import Path

import pytest

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.errors import FailedPreconditionError, NotFoundError
from bandwatch.wire.content import content_from_message
from bandwatch.wire.v1.admin_service_pb2 import CreateReleaseRequest, GetModelRequest, ListModelsRequest
from bandwatch.wire.v1.model_pb2 import RolloutPlan
from tests.integration.conftest import Coordinator
from tests.integration.trained_models import content, store_blobs
from training_worker.coordinator_client import TrainingClient


async def imported(coordinator: Coordinator, band: str, folder: Path) -> str:
    identity = await coordinator.worker()

    def work() -> str:
        with TrainingClient(identity, BlobStore(folder / "blobs"), coordinator.member_address) as client:
            return client.import_model(band, content_from_message(content()))

    return await asyncio.to_thread(work)


@pytest.mark.usefixtures("network")
async def test_an_imported_model_is_registered_once_has_no_run_and_can_be_released(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    async with coordinator.training() as worker:
        await store_blobs(worker)
    names = [await imported(coordinator, "bands/north", tmp_path) for _ in range(2)]
    async with coordinator.admin() as admin:
        listed = (await admin.ListModels(ListModelsRequest())).models
        released = (
            await admin.CreateRelease(CreateReleaseRequest(model=names[0], plan=RolloutPlan(at_once=True)))
        ).release
        model = await admin.GetModel(GetModelRequest(name=names[0]))
    assert [model.name for model in listed] == [names[0]] == [names[1]]
    assert (model.model.band, model.model.run, model.model.cell) == ("bands/north", "", "")
    assert released.serial == 1


@pytest.mark.usefixtures("network")
async def test_a_model_of_a_band_that_is_not_there_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    async with coordinator.training() as worker:
        await store_blobs(worker)
    with pytest.raises(NotFoundError, match="bands/nowhere"):
        await imported(coordinator, "bands/nowhere", tmp_path)


@pytest.mark.usefixtures("network")
async def test_a_model_whose_parts_were_not_stored_is_refused(coordinator: Coordinator, tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="WriteBlob"):
        await imported(coordinator, "bands/north", tmp_path)
