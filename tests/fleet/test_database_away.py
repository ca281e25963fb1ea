"""Item 5: PostgreSQL hangs, then dies, and stays away for a minute: agents spool, and all of it arrives afterwards."""

import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Final

import psutil
import pytest

from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED
from infra.local.options import StackOptions
from infra.local.stack import LocalStack
from observer_agent.agent.status import AgentStatus, read_status
from operator_console.coordinator_client import AdminClient
from tests.fault_table import RecordProperty
from tests.fleet.conftest import ItemResult
from tests.fleet.fleets import OBSERVERS, SHORT_TIMES, WANTED, Fleet, assert_nothing_lost
from tests.integration.platforms import register, register_observer, until

HANGS: Final = timedelta(seconds=30)
"""A frozen server: connections stand, and nothing answers."""
AWAY: Final = timedelta(seconds=60)
"""How long in all; after it hung, the server is killed."""


@pytest.mark.fault(
    "PostgreSQL frozen for 30 s: connections stand, nothing answers",
    "agents spool; no run and no segment is lost; nobody starts anything again",
)
@pytest.mark.fault(
    "PostgreSQL killed, and away for 30 s more",
    "agents spool; no run and no segment is lost; nobody starts anything again",
)
@pytest.mark.fleet
@pytest.mark.timeout(400)
def test_a_database_that_is_away_for_a_minute_costs_nothing_but_time(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, item_result: ItemResult, record_property: RecordProperty
) -> None:
    for name, value in SHORT_TIMES.items():
        monkeypatch.setenv(name, value)
    # Nobody watches this stack: whatever died of the outage would stay dead.
    with (
        LocalStack(StackOptions(open_folder / "platform", port=0)) as stack,
        AdminClient(stack.address, stack.operator_token, stack.authorities) as client,
    ):
        tokens = {"roof": register(client, WANTED), "mast": register_observer(client, "mast", WANTED)}
        fleet = Fleet(open_folder, stack, client, tokens)
        try:
            for observer in OBSERVERS:
                fleet.listen(observer)
            until(lambda: client.segment_totals().segments >= 4, "segments stored")
            run = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=100, seed=1)
            began = _processes(stack)
            before = _statuses(open_folder)
            _take_away(stack)
            during = _statuses(open_folder)
            stack.restart("postgres")
            until(lambda: client.get_run(run.name).state == TRAINING_RUN_STATE_SUCCEEDED, "the run that was under way")
            until(lambda: all(one.spool_segments <= 1 for one in _statuses(open_folder)), "the spools delivered")
            assert _processes(stack) == began
            assert all(process.poll() is None for process in fleet.agents.values())
            fleet.end()
            segments = assert_nothing_lost(fleet)
        finally:
            fleet.close()
    record_property("segments", segments)
    made = [now.spool_made - then.spool_made for now, then in zip(during, before, strict=True)]
    spooled = [seen.spool_segments for seen in during]
    assert min(*made, *spooled) > 1, (made, spooled)
    item_result(
        5,
        tried=f"PostgreSQL frozen for {HANGS.seconds} s, then dead, {AWAY.seconds} s in all; two agents heard, "
        f"a run trained; the agents held {' and '.join(map(str, spooled))} segments",
        how_often=1,
        lost=f"no run, none of {segments} segments",
    )


def _take_away(stack: LocalStack) -> None:
    """Freeze the database and everything that belongs to it, then kill it; return when it was away long enough."""
    server = psutil.Process(stack.process("postgres").pid)
    for process in (server, *server.children()):
        process.send_signal(signal.SIGSTOP)
    clock = threading.Event()
    clock.wait(HANGS.total_seconds())
    for process in (server, *server.children()):
        process.send_signal(signal.SIGKILL)
    clock.wait((AWAY - HANGS).total_seconds())


def _statuses(folder: Path) -> list[AgentStatus]:
    return [read_status(folder / observer) for observer in OBSERVERS]


def _processes(stack: LocalStack) -> dict[str, int | None]:
    """Return the processes of the stack apart from the database; one that has died is none."""
    names = ("redis", "coordinator", "schedule", "worker-1")
    return {name: stack.process(name).pid if stack.process(name).is_running else None for name in names}
