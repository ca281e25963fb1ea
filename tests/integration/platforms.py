"""The whole platform with its real programs, a small band in it, and an agent that hears a small simulated cell."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bandwatch.errors import UnavailableError
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.v1.spectrum_pb2 import MOBILITY_STATIC
from infra.local.options import StackOptions
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient

CARRIER_HZ = 881.5e6


@contextmanager
def running(folder: Path) -> Iterator[LocalStack]:
    """Run the platform; what dies in it is started again."""
    stop = threading.Event()
    with LocalStack(StackOptions(folder / "platform", port=0)) as stack:
        watcher = threading.Thread(target=stack.watch, args=(stop,))
        watcher.start()
        try:
            yield stack
        finally:
            stop.set()
            watcher.join()


def register(client: AdminClient, training: timedelta) -> str:
    """Register band north, cell oak and observer roof, and return its join token."""
    client.create_band("north", center_hz=CARRIER_HZ, width_hz=1.92e6)
    client.create_cell("oak", band="bands/north")
    return register_observer(client, "roof", training)


def register_observer(client: AdminClient, observer: str, training: timedelta, *, cell: str = "oak") -> str:
    """Register another observer, and return its join token."""
    _, token = client.create_observer(
        observer, cell=f"cells/{cell}", mobility=MOBILITY_STATIC, training_target=training, trusted=True
    )
    return token


@contextmanager
def agent(
    folder: Path,
    stack: LocalStack,
    token: str,
    seconds: float | None,
    *,
    observer: str = "roof",
    cell_identity: int = 5,
    **more: object,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run an agent that hears a small simulated cell as fast as it can; its cell never ends without `seconds`."""
    identity = folder / observer / "identity"
    if not (identity / "member.json").exists():
        enroll(stack.address, JoinToken.from_text(token), f"observers/{observer}", identity)
    (folder / f"{observer}.json").write_text(
        json.dumps({"cell_identity": cell_identity, "resource_blocks": 6, "carrier_hz": CARRIER_HZ, "seconds": seconds})
    )
    settings = {
        "DATA_DIR": folder / observer,
        "SIMULATE": folder / f"{observer}.json",
        "PACE": "fast",
        "RETRY_CAP_S": 1,
        **more,
    }
    environment = {f"BANDWATCH_AGENT_{name}": str(value) for name, value in settings.items()}
    with (
        (folder / ("agent.log" if observer == "roof" else f"{observer}.log")).open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "observer_agent", "run"],
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def until(condition: Callable[[], bool], what: str, within_s: float = 120.0) -> None:
    """Wait for a condition, also while the coordinator is away."""
    pause = threading.Event()
    for _ in range(round(within_s / 0.1)):
        try:
            if condition():
                return
        except UnavailableError:
            pass
        pause.wait(0.1)
    pytest.fail(f"not within {within_s} s: {what}")
