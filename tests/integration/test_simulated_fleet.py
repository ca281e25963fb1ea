"""A simulated fleet against a real coordinator, as a person runs it: what it says at its end is what the API shows."""

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from bandwatch.wire.v1.admin_service_pb2 import ListSegmentsRequest
from bandwatch.wire.v1.spectrum_pb2 import Segment
from observer_agent.simulation import fleet
from observer_agent.simulation.account import FleetAccount, ObserverAccount
from observer_agent.simulation.witness import Fate
from tests.integration.conftest import Coordinator

EXAMPLE = Path(fleet.__file__).with_name("example.toml")
OBSERVERS = {f"observers/{name}" for name in ("oak-roof", "oak-office", "oak-walker", "elm-roof", "elm-yard", "van")}


class Simulator:
    """The commands of a person who simulates a fleet in one folder."""

    def __init__(self, coordinator: Coordinator, folder: Path) -> None:
        self._coordinator = coordinator
        self._folder = folder
        self._environment = {
            **os.environ,
            "BANDWATCH_COORDINATOR": coordinator.address,
            "BANDWATCH_OPERATOR_TOKEN_FILE": str(coordinator.settings.keys_dir / "operator.token"),
            "BANDWATCH_AGENT_RETRY_CAP_S": "1",
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """Start a command."""
        return await asyncio.create_subprocess_exec(
            *words,
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *words: str) -> str:
        """Run a command to its good end, and return what it printed."""
        process = await self.start(*words)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def register(self) -> None:
        """Run the commands that the simulator prints."""
        agent = ("-m", "observer_agent", "simulate", f"--network={EXAMPLE}", "--registration")
        script = await self.run(sys.executable, *agent)
        await self.run("sh", "-ec", script.replace("bandwatch ", f"{sys.executable} -m operator_console "))

    async def simulate(self, *options: str) -> asyncio.subprocess.Process:
        """Start the fleet: a third of a second of radio in every 2 s."""
        duty = ("--listen-seconds=0.32", "--period-seconds=2")
        command = ("-m", "observer_agent", "simulate", f"--network={EXAMPLE}", *duty)
        return await self.start(sys.executable, *command, *options)

    def account(self) -> FleetAccount:
        """Return the account of the last simulation."""
        return FleetAccount.model_validate_json((self._folder / "simulated-fleet.json").read_bytes())

    async def stored(self) -> list[Segment]:
        """Return what the coordinator says that it stores."""
        segments: list[Segment] = []
        async with self._coordinator.admin() as admin:
            page = await admin.ListSegments(ListSegmentsRequest())
            segments += page.segments
            while page.next_page_token:
                page = await admin.ListSegments(ListSegmentsRequest(page_token=page.next_page_token))
                segments += page.segments
        return segments


def acknowledged(observer: ObserverAccount) -> set[tuple[str, str, int]]:
    """Return observer, boot id and number of what an account calls acknowledged."""
    ranges = observer.segments.numbers[Fate.ACKNOWLEDGED]
    return {(observer.observer, each.boot_id, n) for each in ranges for n in range(each.first, each.last + 1)}


def names(segments: list[Segment]) -> list[tuple[str, str, int]]:
    return [(segment.observer, segment.origin.boot_id, segment.origin.sequence) for segment in segments]


async def read_until(stream: asyncio.StreamReader | None, words: str) -> None:
    assert stream is not None
    while words not in (line := await stream.readline()).decode():
        assert line, f"it ended before it said {words!r}"


def claimed_by(*accounts: FleetAccount) -> Counter[tuple[str, str, int]]:
    observers = [observer for account in accounts for observer in account.observers]
    return Counter(name for observer in observers for name in acknowledged(observer))


@pytest.mark.slow
async def test_every_acknowledged_segment_is_stored_once_over_cut_links_and_a_second_start_that_needs_no_tokens(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    simulator = Simulator(coordinator, tmp_path)
    await simulator.register()
    enrolment = (f"--coordinator={coordinator.address}", "--tokens=tokens")
    cuts = ("--cut-every-seconds=4", "--cut-seconds=1.5")
    first = await simulator.simulate(*enrolment, *cuts, "--duration=24", "--start-seconds=4")
    out, err = await first.communicate()
    assert first.returncode == 0, err.decode()
    account, stored = simulator.account(), await simulator.stored()
    assert {observer.observer for observer in account.observers} == OBSERVERS
    assert Counter(names(stored)) == claimed_by(account)
    assert account.totals.acknowledged == account.totals.made == len(stored) > 30
    assert account.totals.cuts > 6
    assert account.totals.sent_bytes > 0
    for observer in account.observers:
        cells = Counter(segment.cell for segment in stored if segment.observer == observer.observer)
        assert observer.segments.acknowledged_by_cell == cells
        assert set(cells) <= {span.cell for span in observer.cells}
    van = next(observer for observer in account.observers if observer.mobility == "driving")
    assert set(van.segments.acknowledged_by_cell) == {"cells/oak", "cells/elm"}
    assert f"{len(stored)} acknowledged, 0 refused, 0 given up, 0 held" in out.decode()

    second = await simulator.simulate()
    await read_until(second.stderr, "10 s:")
    second.send_signal(signal.SIGTERM)
    _, err = await second.communicate()
    assert second.returncode == 0, err.decode()
    again = simulator.account()
    assert again.totals.acknowledged == again.totals.made > 0
    assert Counter(names(await simulator.stored())) == claimed_by(account, again)
