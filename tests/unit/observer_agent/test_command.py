"""The command bandwatch-agent, as a process of its own."""

import asyncio
import fcntl
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from bandwatch.identity.identity_files import save_identity
from observer_agent.agent.status import read_status
from tests.unit.observer_agent.conftest import CELL
from tests.unit.observer_agent.fake_coordinator import FakeCoordinator
from tests.unit.observer_agent.inspected import read_inspection
from tests.unit.observer_agent.release_repository import ReleaseRepository
from tests.unit.observer_agent.tiny_models import Publisher
from tests.unit.trusted_server import member


@pytest.fixture
def options(tmp_path: Path, coordinator: FakeCoordinator, repository: ReleaseRepository) -> list[str]:
    address = f"127.0.0.1:{coordinator.port}"
    save_identity(tmp_path / "data" / "identity", member("observers/o1", address, release_root=repository.pinned))
    cell = {"cell_identity": 7, "resource_blocks": 6, "carrier_hz": 1890e6, "mobility": "walking"}
    (tmp_path / "cell.json").write_text(json.dumps({**cell, "seconds": 0.6}))
    (tmp_path / "endless.json").write_text(json.dumps(cell))
    return [f"--data-dir={tmp_path}/data"]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "observer_agent",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("BANDWATCH")},
    )


async def finish(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_an_agent_plays_its_source_delivers_everything_and_exits(
    tmp_path: Path, coordinator: FakeCoordinator, publisher: Publisher, options: list[str]
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3)), training_target_s=100.0)
    code, _, log = await finish(
        await start(
            "run",
            *options,
            f"--simulate={tmp_path}/cell.json",
            "--pace=fast",
            "--exit-at-end",
            f"--inspect={tmp_path}/seen",
        )
    )
    assert code == 0, log
    ((segment, codes),) = coordinator.segments.values()
    assert (segment.frame_count, segment.purpose, segment.context.mobility) == (len(codes) // 128, 2, 2)
    scores, frames, predicted = read_inspection(tmp_path / "seen")
    assert frames.tobytes() == codes
    assert len(scores) == len(predicted) == (len(frames) - 125) // 25 + 1
    meta = json.loads((tmp_path / "seen" / "meta.json").read_text())
    assert meta["runs"] == [{"first_frame": 0, "first_sample": 0, "stream_s": 0.0}]

    code, said, _ = await finish(await start("status", f"--data-dir={tmp_path}/data"))
    assert code == 0
    for word in (CELL, "models/m3", "stopped", "simulated cell 7"):
        assert word in said


async def test_a_signal_ends_the_agent_and_what_was_begun_is_kept(
    tmp_path: Path, coordinator: FakeCoordinator, publisher: Publisher, options: list[str]
) -> None:
    coordinator.assign(publisher.seal(publisher.manifest(3, threshold_db=0.1)))
    process = await start("run", *options, f"--simulate={tmp_path}/endless.json", "--pace=real")
    await coordinator.until(lambda: len(coordinator.anomalies) > 0)
    process.send_signal(signal.SIGTERM)
    code, _, log = await finish(process)
    assert code == 0, log
    status = read_status(tmp_path / "data")
    assert status.state == "stopped"
    assert status.spool_segments + len(coordinator.segments) == 1
    held = status.spool_segments + status.spool_anomalies + status.spool_events + status.spool_statistics
    assert status.spool_made == held + status.spool_acknowledged


async def test_a_second_agent_on_the_same_folder_is_turned_away(tmp_path: Path, options: list[str]) -> None:
    with (tmp_path / "data" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, _, said = await finish(await start("run", *options, f"--simulate={tmp_path}/endless.json"))
    assert code == 1
    assert "--data-dir" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], ["data_dir", "BANDWATCH_AGENT_DATA_DIR", "exactly one source"]),
        (["enroll", "--coordinator=127.0.0.1:1", "--token=x"], ["--data-dir"]),
        (["enroll", "--coordinator=127.0.0.1:1", "--data-dir=/nowhere"], ["--token-file"]),
        (["enroll", "--coordinator=127.0.0.1:1", "--data-dir=/nowhere", "--token=x"], ["no join token"]),
        (["status", "--data-dir=/nowhere"], ["/nowhere/status.json"]),
    ],
)
async def test_a_command_that_lacks_something_says_what(arguments: list[str], words: list[str]) -> None:
    code, _, said = await finish(await start(*arguments))
    assert code == 1
    for word in words:
        assert word in said
