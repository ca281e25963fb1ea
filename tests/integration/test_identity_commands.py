"""The console's commands about who may join and administer, against a real coordinator."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from operator_console.__main__ import main
from tests.integration.conftest import Coordinator, Network


class Console:
    """Runs `bandwatch` as an admin, and reads what it prints."""

    def __init__(self, coordinator: Coordinator, capsys: pytest.CaptureFixture[str]) -> None:
        keys = coordinator.settings.keys_dir
        self._options = ["--json", "--coordinator", coordinator.address, "--token-file", str(keys / "operator.token")]
        self._capsys = capsys

    async def say(self, *arguments: str) -> Any:
        """Run a command and return its JSON; nothing where it printed none."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(main, [*self._options, *arguments])
        printed = self._capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return json.loads(printed.out) if printed.out else None


@pytest.fixture
def console(coordinator: Coordinator, capsys: pytest.CaptureFixture[str]) -> Console:
    """Give the console."""
    return Console(coordinator, capsys)


async def test_a_worker_is_invited_enrols_and_is_shut_out(
    coordinator: Coordinator, console: Console, tmp_path: Path
) -> None:
    place = tmp_path / "gpu.token"
    made = await console.say(
        *("join-tokens", "create", "--role", "worker", "--name", "workers/gpu"),
        *("--lifetime", "1h", "--token-out", str(place)),
    )
    assert (made["member"], made["token_file"]) == ("workers/gpu", str(place))
    await coordinator.enroll(place.read_text())
    [listed] = await console.say("join-tokens", "list")
    assert listed["used_by"] == "workers/gpu"
    await console.say("workers", "revoke", "gpu")
    [certificate] = await console.say("certificates", "list", "--member", "workers/gpu")
    assert certificate["revoke_time"]


async def test_a_join_token_that_nobody_used_can_be_deleted(console: Console) -> None:
    made = await console.say("join-tokens", "create", "--role", "worker")
    await console.say("join-tokens", "delete", made["name"])
    assert await console.say("join-tokens", "list") == []


async def test_operators_come_and_go_and_the_audit_log_says_so(console: Console, network: Network) -> None:
    del network
    made = await console.say("operators", "create", "alice", "--role", "viewer")
    assert len(made["token"]) >= 43, "256 bits in base64"
    assert [one["name"] for one in await console.say("operators", "list")] == ["operators/alice", "operators/tester"]
    await console.say("operators", "delete", "alice")
    gone, come = await console.say("audit", "list", "--subject", "operators alice")
    assert [entry["action"] for entry in (gone, come)] == ["DeleteOperator", "CreateOperator"]
    assert await console.say("audit", "list", "--refusals") == []
    assert {entry["actor"] for entry in await console.say("audit", "list", "--actor", "observers/van")} == {
        "observers/van"
    }
