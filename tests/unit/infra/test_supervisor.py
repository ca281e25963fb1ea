"""Programs are started in order, restarted when they die, and all stopped."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from bandwatch.errors import NotFoundError, UnavailableError
from infra.local.child import Program
from infra.local.supervisor import RestartPolicy, Supervisor

WaitUntil = Callable[[Callable[[], bool]], None]
Watching = Callable[[Callable[[threading.Event], None]], AbstractContextManager[None]]

NEVER = threading.Event()
WAITS = "import signal; print('at work', flush=True); signal.sigwait([signal.SIGTERM])"
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
FAILS = "import sys; print('the disk is on fire'); sys.exit(3)"
HAS_CHILD = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
signal.sigwait([signal.SIGTERM])
"""


def program(name: str, code: str, is_healthy: Callable[[], bool] = lambda: True) -> Program:
    return Program(name, (sys.executable, "-c", code), is_healthy=is_healthy)


@pytest.fixture
def announced() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, announced: list[str]) -> Iterator[Supervisor]:
    policy = RestartPolicy(delay_s=0.02, deaths=3, within_s=60.0)
    made = Supervisor(tmp_path, announced.append, lambda: None, policy)
    yield made
    made.stop()


def test_a_program_counts_as_started_once_it_is_healthy(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    supervisor.start(program("a", WAITS, is_healthy=lambda: "at work" in log.read_text()), NEVER)
    assert supervisor.child("a").is_running
    assert log.read_text() == "at work\n"


def test_a_program_that_ends_while_it_starts_is_reported_with_its_last_words(supervisor: Supervisor) -> None:
    with pytest.raises(UnavailableError, match=r"(?s)a ended while it started \(exit status 3\).*the disk is on fire"):
        supervisor.start(program("a", FAILS, is_healthy=lambda: False), NEVER)


def test_only_the_words_of_the_latest_start_are_reported(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("from long ago\n")
    with pytest.raises(UnavailableError) as raised:
        supervisor.start(program("a", FAILS, is_healthy=lambda: False), NEVER)
    assert "long ago" not in raised.value.message
    assert (tmp_path / "a.log").read_text() == "from long ago\nthe disk is on fire\n"


def test_waiting_for_health_ends_early_when_stop_is_set(supervisor: Supervisor) -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    supervisor.start(program("a", WAITS, is_healthy=lambda: False), stop)
    assert supervisor.child("a").is_running


def test_a_killed_program_is_reported_at_once_and_started_again(
    supervisor: Supervisor, announced: list[str], wait_until: WaitUntil, watching: Watching
) -> None:
    supervisor.start(program("a", WAITS), NEVER)
    first = supervisor.child("a").pid
    with watching(supervisor.watch):
        supervisor.child("a").send(signal.SIGKILL)
        wait_until(lambda: "a was started again" in announced)
    assert supervisor.child("a").pid != first
    assert supervisor.child("a").is_running
    assert announced[0].startswith("a died (signal 9, Killed).")


def test_what_a_killed_program_leaves_behind_is_killed_too(
    supervisor: Supervisor, announced: list[str], tmp_path: Path, wait_until: WaitUntil, watching: Watching
) -> None:
    log = tmp_path / "a.log"
    supervisor.start(program("a", HAS_CHILD, is_healthy=lambda: log.read_text().endswith("\n")), NEVER)
    grandchild = psutil.Process(int(log.read_text()))
    with watching(supervisor.watch):
        supervisor.child("a").send(signal.SIGKILL)
        wait_until(lambda: "a was started again" in announced)
    wait_until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_a_program_that_keeps_dying_ends_the_watch_and_names_its_log(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start(program("a", FAILS), NEVER)
    with pytest.raises(UnavailableError, match=f"a died 3 times within 60 s.*read {tmp_path / 'a.log'}"):
        supervisor.watch(NEVER)


def test_programs_are_stopped_in_reverse_order_and_none_is_left(supervisor: Supervisor, announced: list[str]) -> None:
    for name in ("a", "b", "c"):
        supervisor.start(program(name, WAITS), NEVER)
    pids = [child.pid for child in supervisor.children]
    supervisor.stop()
    assert announced == ["stopping c", "stopping b", "stopping a"]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_program_that_ignores_the_request_to_end_is_killed_after_the_grace(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    supervisor.start(program("a", IGNORES_TERM, is_healthy=lambda: "deaf" in log.read_text()), NEVER)
    supervisor.child("a").stop(grace_s=0.05)
    assert supervisor.child("a").ending == "signal 9, Killed"


def test_a_restart_replaces_the_process(supervisor: Supervisor) -> None:
    supervisor.start(program("a", WAITS), NEVER)
    first = supervisor.child("a").pid
    supervisor.restart("a")
    assert supervisor.child("a").is_running
    assert supervisor.child("a").pid != first


def test_a_program_that_is_to_end_must_succeed(supervisor: Supervisor) -> None:
    supervisor.run_to_end(program("once", "print('done')"), NEVER)
    with pytest.raises(UnavailableError, match=r"(?s)once failed \(exit status 3\).*the disk is on fire"):
        supervisor.run_to_end(program("once", FAILS), NEVER)
    assert supervisor.children == ()


def test_an_unknown_program_is_refused_with_the_known_ones(supervisor: Supervisor) -> None:
    supervisor.start(program("a", WAITS), NEVER)
    with pytest.raises(NotFoundError, match="no 'b'; it runs a"):
        supervisor.child("b")
