"""The certificate authority is exchanged while an agent and a worker are connected: nobody is cut off by it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bandwatch.errors import FailedPreconditionError
from bandwatch.identity.certificates import read_certificate
from bandwatch.identity.identity_files import load_identity
from bandwatch.identity.keyring import load_keyring
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import admin_service_pb2, identity_pb2
from coordinator.services.identity import host_commands
from tests.fleet.conftest import ItemResult
from tests.integration.conftest import Coordinator, StartCoordinator, make_network
from training_worker import renewal
from training_worker.coordinator_client import open_client

pytestmark = pytest.mark.fleet


@contextmanager
def running_agent(folder: Path, identity: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the real agent on a simulated cell that never ends."""
    (folder / "cell.json").write_text(json.dumps({"cell_identity": 5, "resource_blocks": 25, "carrier_hz": 881.5e6}))
    settings = {"DATA_DIR": folder / "roof", "IDENTITY_DIR": identity, "SIMULATE": folder / "cell.json"}
    environment = {f"BANDWATCH_AGENT_{name}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "observer_agent", "run"]
    with (
        (folder / "agent.log").open("wb") as log,
        subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


async def serials(coordinator: Coordinator, member: str) -> list[str]:
    async with coordinator.admin() as admin:
        answer = await admin.ListCertificates(identity_pb2.ListCertificatesRequest(member=member))
    return [certificate.serial for certificate in answer.certificates]


async def heard_of(coordinator: Coordinator) -> datetime:
    async with coordinator.admin() as admin:
        observer = (await admin.GetObserver(admin_service_pb2.GetObserverRequest(name="observers/roof"))).observer
    return to_moment(observer.last_sync_time)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition is true; each look at it is a call that takes its time."""
    async with asyncio.timeout(60):
        while not await condition():
            pass


@pytest.mark.fault(
    "the certificate authority exchanged under connected members",
    "they renew, and go on",
)
async def test_the_authority_is_exchanged_under_a_connected_agent_and_worker(
    start_coordinator: StartCoordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult
) -> None:
    async with start_coordinator(poll_s=0.5) as coordinator:
        await make_network(coordinator)
        await coordinator.worker()
        settings, folder = coordinator.settings, coordinator.folder
        old = load_keyring(settings.keys_dir).current
        with (
            running_agent(tmp_path, folder / "observers" / "roof") as agent,
            open_client(folder / "workers" / "w1", tmp_path / "worker", coordinator.member_address) as worker,
        ):
            await until(partial(synced, coordinator, datetime.now(UTC)))
            host_commands.begin_rotation(settings)
            with pytest.raises(FailedPreconditionError, match="observers/van, workers/w1"):
                await host_commands.finish_rotation(settings, force=False)
            await until(partial(renewed, coordinator, "observers/roof", 2))
            monkeypatch.setattr(renewal, "RENEWED_EVERY", timedelta(0))
            assert await asyncio.to_thread(renewal.renew_if_due, worker, folder / "workers" / "w1")
            cut_off = await host_commands.finish_rotation(settings, force=True)
            assert cut_off == ["observers/van"]
            await until(partial(renewed, coordinator, "observers/roof", 3))
            await until(partial(synced, coordinator, datetime.now(UTC)))
            assert await asyncio.to_thread(renewal.renew_if_due, worker, folder / "workers" / "w1")
            assert agent.poll() is None
    keyring, roof = load_keyring(settings.keys_dir), load_identity(folder / "observers" / "roof", "")
    assert keyring.next is None
    assert keyring.current.digest != old.digest
    assert roof.authorities == keyring.authorities
    read_certificate(roof.certificate).verify_directly_issued_by(keyring.current.certificate)
    item_result(1, tried="the certificate authority exchanged under a connected agent", how_often=1, lost="nothing")


async def renewed(coordinator: Coordinator, member: str, count: int) -> bool:
    return len(await serials(coordinator, member)) >= count


async def synced(coordinator: Coordinator, after: datetime) -> bool:
    return await heard_of(coordinator) > after
