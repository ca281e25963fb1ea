"""What breaks the platform in containers, one thing at a time, and what it promises for each."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from infra.docker.commands import run
from observer_agent.agent.status import AgentStatus
from operator_console.coordinator_client import AdminClient
from tests.docker.agents import Agent, held
from tests.docker.stacks import (
    SPARE_CELL,
    Stack,
    assert_nothing_lost,
    assert_stored,
    given_up,
    register,
    segments_of,
    until_enough_to_train_is_stored,
    until_stored,
    until_succeeded,
)
from tests.fault_table import RecordProperty
from tests.integration.platforms import until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]
FROZEN_S: Final = 12.0
"""Longer than an agent waits for the answer to anything but a segment."""
MORE: Final = 2
"""Segments of each observer, of which the last was made after the first came in."""
FEW: Final = 3
WORKERS: Final = ("worker-1", "worker-2")
COORDINATORS: Final = ("coordinator-1", "coordinator-2")
CLOCK_LIBRARY: Final = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
A_MOMENT_S: Final = 0.2
RADIO_S: Final = 20.0
"""Five segments."""
LONG_S: Final = 60.0
"""Fifteen segments: 30 MB."""
SMALL_SPOOL_MB: Final = 8
SMALL_DISK_MB: Final = 20
SOURCE_ENDED: Final = "the source has ended"


@pytest.fixture
def client(stack: Stack) -> Iterator[AdminClient]:
    with stack.operator() as client:
        yield client


@pytest.fixture
def compared(stack: Stack, client: AdminClient, record_property: RecordProperty) -> Iterator[None]:
    """See after a test that of the six observers nothing was lost."""
    yield
    record_property("segments", assert_nothing_lost(stack, client))


def counted(stack: Stack, client: AdminClient) -> dict[str, int]:
    """Return how many segments are stored of each of the six observers."""
    return {name: segments_of(client, name) for name in stack.agents}


def until_more_is_stored(client: AdminClient, before: dict[str, int]) -> None:
    """Wait until of each observer something is stored that was made since they were counted."""
    for name, count in before.items():
        until_stored(client, name, count + MORE)


@pytest.mark.fault("a coordinator's container killed", "agents go on through the other one; nothing is lost")
@pytest.mark.parametrize("service", COORDINATORS)
@pytest.mark.usefixtures("compared")
def test_agents_go_on_through_the_other_coordinator_when_one_is_killed(
    stack: Stack, client: AdminClient, service: str
) -> None:
    killed = stack.container(service)
    before = counted(stack, client)
    run("docker", "kill", killed)
    until_more_is_stored(client, before)
    assert not stack.is_running(service)
    run("docker", "start", killed)
    until(lambda: stack.serves(service), "the coordinator serves again")


@pytest.mark.fault(
    "each of two coordinators frozen in turn: connections stand, nothing answers",
    "agents go on through the other one, and through both afterwards; nothing is lost",
)
@pytest.mark.usefixtures("compared")
def test_agents_go_on_through_the_other_coordinator_when_one_is_frozen(stack: Stack, client: AdminClient) -> None:
    for service in COORDINATORS:
        before = counted(stack, client)
        with stack.paused(service):
            until_more_is_stored(client, before)
        until(partial(stack.serves, service), "the coordinator answers again")


@pytest.mark.fault("PostgreSQL's container frozen", "agents spool, and deliver once it answers; nothing is lost")
@pytest.mark.usefixtures("compared")
def test_nothing_is_lost_while_the_database_stands_still(stack: Stack, client: AdminClient) -> None:
    before = counted(stack, client)
    with stack.paused("postgres"):
        taken = until_nothing_more_is_delivered(stack)
        threading.Event().wait(FROZEN_S)
        assert acknowledged(stack.statuses()) == taken
    until_more_is_stored(client, before)


def until_nothing_more_is_delivered(stack: Stack) -> dict[str, int]:
    """Wait until what was on its way has arrived, and return how much of each agent was taken."""
    seen: list[dict[str, AgentStatus]] = []
    began_at = datetime.now(UTC)

    def nothing_more() -> bool:
        since = min(status.written_at for status in seen[-1].values()) if seen else began_at
        told = stack.statuses()
        if min(status.written_at for status in told.values()) <= since:
            return False
        seen.append(told)
        return len(seen) > 1 and acknowledged(seen[-1]) == acknowledged(seen[-2])

    until(nothing_more, "nothing more taken")
    return acknowledged(seen[-1])


def acknowledged(statuses: dict[str, AgentStatus]) -> dict[str, int]:
    return {name: status.spool_acknowledged for name, status in statuses.items()}


@pytest.mark.fault("an agent's container cut off the network for a while", "it spools, and all arrives afterwards")
@pytest.mark.usefixtures("compared")
def test_what_an_agent_made_while_it_was_cut_off_arrives_once_it_is_connected(
    stack: Stack, client: AdminClient
) -> None:
    agent = stack.agents["lane"]
    with agent.cut_off():
        until(lambda: agent.status().spool_segments >= FEW, "segments spooled")
        stored = segments_of(client, "lane")
        until(lambda: agent.status().spool_segments > FEW, "another segment spooled")
        assert segments_of(client, "lane") == stored
    until_stored(client, "lane", stored + FEW + 1)


@pytest.mark.fault("a worker's container killed in the middle of a run", "the run succeeds on the other worker")
def test_a_run_whose_worker_is_killed_succeeds_on_the_other(stack: Stack, client: AdminClient) -> None:
    until_enough_to_train_is_stored(client)
    order = client.create_teacher_run("bands/north", max_epochs=2, stride_frames=100, seed=2)
    until(lambda: client.get_run(order.name).progress.stage.startswith("epoch"), "the run in the middle")
    [worker] = filter(stack.trains, WORKERS)
    killed = stack.container(worker)
    run("docker", "kill", killed)
    until_succeeded(client, order.name)
    assert client.get_run(order.name).attempts > 1
    assert not stack.is_running(worker)
    run("docker", "start", killed)


@pytest.mark.fault("Redis's container killed during a run", "the run succeeds, and so does the next one")
def test_a_run_during_which_redis_is_killed_succeeds_and_so_does_the_next(stack: Stack, client: AdminClient) -> None:
    until_enough_to_train_is_stored(client)
    order = client.create_teacher_run("bands/north", max_epochs=1, stride_frames=100, seed=3)
    until(lambda: client.get_run(order.name).attempts == 1, "the run begun")
    killed = stack.container("redis")
    run("docker", "kill", killed)
    until_succeeded(client, order.name)
    assert not stack.is_running("redis")
    run("docker", "start", killed)
    later = client.create_teacher_run("bands/north", family="linear", max_epochs=1, stride_frames=100, seed=4)
    until_succeeded(client, later.name)


@contextmanager
def another_agent(stack: Stack, client: AdminClient, observer: str) -> Iterator[Agent]:
    """Give an agent of the spare cell that has enrolled and heard of it; remove its container afterwards."""
    agent = stack.new_agent(observer, register(client, observer, SPARE_CELL))
    agent.hears(7, "static", seed=7)
    agent.hear(A_MOMENT_S)
    try:
        yield agent
    finally:
        run("docker", "rm", "--force", agent.container)


@pytest.mark.fault(
    "an agent's disk or spool full while it is cut off",
    "it runs on; what it kept arrives once it is connected, and what it gave up is counted",
)
@pytest.mark.parametrize("limit_mb", [SMALL_SPOOL_MB, 512], ids=["spool", "disk"])
@pytest.mark.usefixtures("compared")
def test_an_agent_that_is_cut_off_until_nothing_more_fits_delivers_what_it_kept_and_counts_the_rest(
    stack: Stack, client: AdminClient, limit_mb: int
) -> None:
    observer = f"attic-{limit_mb}"
    with stack.small_disk(observer, SMALL_DISK_MB), another_agent(stack, client, observer) as agent:
        agent.prepare_to_hear(LONG_S, SPOOL_LIMIT_MB=str(limit_mb))
        with agent.cut_off():
            agent.start()
            until(lambda: SOURCE_ENDED in agent.said(), "all of the radio heard")
        status = agent.ended()
    assert_stored(stack, client, status)
    assert (status.spool_evicted > 0, status.not_kept > 0) == (limit_mb == SMALL_SPOOL_MB, limit_mb != SMALL_SPOOL_MB)


def with_a_clock_off_by(hours: int) -> tuple[str, ...]:
    """Return the options of a container whose clock is wrong, or skip and say why."""
    if not CLOCK_LIBRARY.exists():
        pytest.skip("libfaketime is not installed, which gives a container a clock of its own")
    mounted = f"--volume={CLOCK_LIBRARY}:/opt/clock.so:ro"
    return (
        mounted,
        "--env=LD_PRELOAD=/opt/clock.so",
        f"--env=FAKETIME={hours:+}h",
        "--env=FAKETIME_DONT_FAKE_MONOTONIC=1",
    )


@pytest.mark.fault(
    "an observer's clock an hour ahead",
    "what it sends is refused with a sentence that says to set it, and none is stored; once it is right it goes on",
)
@pytest.mark.usefixtures("compared")
def test_nothing_from_the_future_is_stored_of_an_observer_whose_clock_is_ahead(
    stack: Stack, client: AdminClient
) -> None:
    wrong = with_a_clock_off_by(1)
    with another_agent(stack, client, "early") as agent:
        before = segments_of(client, "early")
        status = agent.hear(RADIO_S, options=wrong)
        assert status.spool_refused >= FEW
        assert {refused.code for refused in status.quarantine} == {"invalid_argument"}
        assert all("set the observer's clock" in refused.reason for refused in status.quarantine)
        assert segments_of(client, "early") == before
        status = agent.hear(RADIO_S)
    assert segments_of(client, "early") > before
    assert_stored(stack, client, status)


@pytest.mark.fault(
    "an observer's clock an hour behind",
    "it says so and keeps what it makes; once its clock is right it goes on, and nothing is lost",
)
@pytest.mark.usefixtures("compared")
def test_an_observer_whose_clock_is_behind_says_so_and_goes_on_once_it_is_right(
    stack: Stack, client: AdminClient
) -> None:
    wrong = with_a_clock_off_by(-1)
    with another_agent(stack, client, "late") as agent:
        before = segments_of(client, "late")
        agent.prepare_to_hear(RADIO_S, options=wrong)
        agent.start()
        until(lambda: SOURCE_ENDED in agent.said(), "all of the radio heard")
        until(lambda: "CERTIFICATE_VERIFY_FAILED" in agent.said(), "what is wrong")
        until(lambda: held(agent.status()) >= FEW, "segments spooled")
        assert segments_of(client, "late") == before
        agent.end()
        status = agent.hear(RADIO_S)
    assert segments_of(client, "late") > before
    assert given_up(status) == 0
    assert_stored(stack, client, status)
