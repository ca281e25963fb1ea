"""Fixtures for the supervision of programs."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

DEADLINE_S = 20.0

WaitUntil = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give a folder beside pytest's own, which every pytest that starts shuts to the user of root's PostgreSQL."""
    with TemporaryDirectory(prefix="bandwatch-test-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def wait_until() -> WaitUntil:
    """Give a function that waits for a condition, and fails when it does not come true in time."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline_s, "the condition did not come true"
            threading.Event().wait(0.01)

    return wait


@pytest.fixture
def watching() -> Callable[[Callable[[threading.Event], None]], AbstractContextManager[None]]:
    """Give a context in which another thread watches over the programs."""

    @contextmanager
    def watch_in_thread(watch: Callable[[threading.Event], None]) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=watch, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return watch_in_thread


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `python -m coordinator` and `python -m training_worker` start the stand-ins beside this file."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "stand_ins"))
