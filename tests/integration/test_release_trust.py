"""From a release to an agent that believes it: real gRPC, the root that enrolment gave, and a hand in the database."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.wire.v1 import admin_service_pb2, model_pb2
from coordinator import app
from coordinator.registry.entities import Model
from coordinator.registry.session import Registry
from coordinator.services.releasing import rotations
from observer_agent.agent.adoption import Adoption
from observer_agent.detection.model import ScoringModel, load_model
from observer_agent.models.store import ModelStore
from observer_agent.settings import AgentSettings
from observer_agent.uplink.client import Uplink
from observer_agent.uplink.messages import Report
from tests.integration.conftest import Coordinator, Network
from tests.unit.observer_agent.tiny_models import tiny_content


class Roof:
    """The parts of the agent of observer roof that hear of releases and take them up."""

    def __init__(self, uplink: Uplink, store: ModelStore, settings: AgentSettings) -> None:
        self.uplink = uplink
        self.adoption = Adoption(store, uplink, partial(load_model, read_blob=store.read, threads=1), settings)

    async def take_up(self) -> ScoringModel | None:
        """Take up what is desired, and say what was refused."""
        desired = (await self.uplink.sync(self._report())).desired
        assert desired.release is not None
        model = await self.adoption.adopt(desired.release, desired)
        await self.uplink.sync(self._report())
        return model

    def _report(self) -> Report:
        return Report("1", 0, 0, "", self.adoption.refusals, 0, 0, 0, 0)


@pytest.fixture
async def roof(coordinator: Coordinator, network: Network, tmp_path: Path) -> AsyncIterator[Roof]:
    """Give roof, with the root of trust that it was given when it enrolled."""
    (tmp_path / "unused.json").write_text("{}")
    settings = AgentSettings.from_options(
        {
            "data_dir": tmp_path / "roof",
            "coordinator": coordinator.member_address,
            "simulate": tmp_path / "unused.json",
            "refused_retry_s": 1e-9,
        }
    )
    identity = network.tokens["roof"]
    async with Uplink(settings, identity) as uplink:
        yield Roof(uplink, ModelStore(tmp_path / "roof" / "models", identity.release_root), settings)


@pytest.fixture
async def registry(coordinator: Coordinator) -> AsyncIterator[Registry]:
    """Give the coordinator's database."""
    registry = Registry(coordinator.settings.sqlalchemy_url(), connections=1)
    yield registry
    await registry.close()


async def release(coordinator: Coordinator, registry: Registry, number: int) -> model_pb2.Release:
    blobs = BlobStore(coordinator.settings.blob_dir / "models")
    content = tiny_content(blobs.write, bias=float(number)).model_dump(mode="json")
    async with registry.transaction() as session:
        session.add(Model(id=f"m-{number}", band_id="north", cell_id="oak", content=content))
    async with coordinator.admin() as admin:
        plan = model_pb2.RolloutPlan(at_once=True)
        request = admin_service_pb2.CreateReleaseRequest(model=f"models/m-{number}", plan=plan)
        return (await admin.CreateRelease(request)).release


async def refused_by_roof(coordinator: Coordinator) -> list[tuple[int, str]]:
    async with coordinator.admin() as admin:
        request = admin_service_pb2.GetObserverRequest(name="observers/roof")
        reported = (await admin.GetObserver(request)).observer.reported
    return [(refusal.serial, refusal.code) for refusal in reported.refused]


@pytest.mark.fault(
    "signed metadata changed in the database",
    "refused by observers, shown, and made good by a rotation",
)
async def test_what_somebody_changed_in_the_database_is_refused_shown_and_made_good_by_a_rotation(
    coordinator: Coordinator, registry: Registry, roof: Roof
) -> None:
    first = await release(coordinator, registry, 1)
    model = await roof.take_up()
    assert model is not None
    assert model.serial == first.serial
    second = await release(coordinator, registry, 2)
    async with registry.transaction() as session:
        await session.execute(
            text(
                "UPDATE release_metadata SET content = convert_to(replace(convert_from(content, 'UTF8'), '20', '21'), "
                "'UTF8') WHERE role = 'timestamp'"
            )
        )
    assert await roof.take_up() is None
    assert await refused_by_roof(coordinator) == [(second.serial, "bad_signature")]
    settings = coordinator.settings
    root_key = settings.signing_key_file.with_name("root.key")
    await app.rotate(settings, root_key, rotations.rotate_signing_keys)
    model = await roof.take_up()
    assert model is not None
    assert model.serial == second.serial
    assert await refused_by_roof(coordinator) == []


async def test_the_commands_rotate_from_the_settings_and_say_what_they_made(coordinator: Coordinator) -> None:
    settings = coordinator.settings
    environment = {
        f"BANDWATCH_COORDINATOR_{name.upper()}": str(getattr(settings, name))
        for name in ("database_url", "blob_dir", "signing_key_file", "timestamp_key_file", "release_root_file")
    }
    before = settings.signing_key_file.read_bytes()

    async def run(*words: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "coordinator", *words),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    status, out = await run("rotate-signing-key")
    assert (status, "version 2" in out) == (0, True), out
    assert settings.signing_key_file.read_bytes() != before
    status, out = await run("rotate-root-key", f"--root-key={settings.signing_key_file.with_name('root.key')}")
    assert (status, "version 3" in out) == (0, True), out
    status, out = await run("rotate-root-key", f"--root-key={settings.signing_key_file}")
    assert (status, "name the file" in out) == (1, True), out


async def test_agents_follow_every_rotation_while_the_coordinator_serves(
    coordinator: Coordinator, registry: Registry, roof: Roof
) -> None:
    for number, rotation in enumerate((rotations.rotate_signing_keys, rotations.rotate_root_key) * 2, 1):
        await app.rotate(coordinator.settings, None, rotation)
        released = await release(coordinator, registry, number)
        model = await roof.take_up()
        assert model is not None
        assert model.serial == released.serial
    assert await refused_by_roof(coordinator) == []
