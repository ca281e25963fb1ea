"""The real program `bandwatch-coordinator serve`, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.settings import ENVIRONMENT_PREFIX, CoordinatorSettings
from infra.local.ports import free_port
from infra.local.programs import is_serving


@dataclass(frozen=True)
class Addresses:
    """Where one listens."""

    open: str
    members: str


def free_addresses() -> Addresses:
    """Return addresses that nobody listens at."""
    return Addresses(*(f"127.0.0.1:{free_port()}" for _ in range(2)))


@contextmanager
def serving(settings: CoordinatorSettings, addresses: Addresses, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the program with these settings until the block ends, and give its process once it serves."""
    values = {name: value for name, value in settings.model_dump().items() if value is not None}
    values |= {"listen": addresses.open, "member_listen": addresses.members}
    environment = {f"{ENVIRONMENT_PREFIX}{name.upper()}": str(value) for name, value in values.items()}
    command = [sys.executable, "-m", "coordinator", "serve"]
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env={**os.environ, **environment}, stdout=output) as process,
    ):
        try:
            while not is_serving(addresses.open, settings.keys_dir / "authorities.pem"):
                assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.terminate()
