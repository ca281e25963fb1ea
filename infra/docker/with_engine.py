"""Runs a command with a Docker engine: where none answers, installs one of Debian packages and starts it meanwhile."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from bandwatch.errors import BandwatchError, FailedPreconditionError, UnavailableError
from infra.docker.commands import run, succeeds, timed
from infra.docker.wheels import PROJECT

PACKAGES: Final = {"debootstrap": "debootstrap", "faketime": "faketime"}
"""Debian packages by the program for which they are wanted; the second one is for tests of clocks that are wrong."""
ENGINE_PACKAGES: Final = {"dockerd": "docker.io"}
COMPOSE_PACKAGE: Final = "docker-compose"
_START_S: Final = 60.0
_LOG_TAIL: Final = 2000


@contextmanager
def engine(log: Path) -> Iterator[None]:
    """Have a Docker engine answer until the block ends; one that was started for it ends then.

    Raises:
        FailedPreconditionError: None answers, and this is not root, or its packages cannot be had.
        UnavailableError: The engine ends, or does not answer within a minute; the sentence holds its last words.
    """
    answers = succeeds("docker", "info")
    _install(missing_packages(needs_engine=not answers))
    if answers:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        daemon = subprocess.Popen(["dockerd"], stdout=file, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S607
    try:
        with timed(f"starting dockerd, process {daemon.pid}, log {log}"):
            _await(daemon, log)
        yield
    finally:
        with timed("stopping dockerd"):
            daemon.terminate()
            daemon.wait()


def missing_packages(*, needs_engine: bool) -> list[str]:
    """Return the Debian packages whose programs are not here."""
    wanted = PACKAGES | ENGINE_PACKAGES if needs_engine else PACKAGES
    missing = [package for program, package in wanted.items() if shutil.which(program) is None]
    return missing if compose_command() else [*missing, COMPOSE_PACKAGE]


def compose_command() -> tuple[str, ...]:
    """Return how Compose is called here: the plugin of Docker, else the older program; empty where there is neither."""
    if succeeds("docker", "compose", "version"):
        return ("docker", "compose")
    return (COMPOSE_PACKAGE,) if shutil.which(COMPOSE_PACKAGE) else ()


def _install(packages: list[str]) -> None:
    if not packages:
        return
    names = " ".join(packages)
    if os.geteuid() != 0:
        raise FailedPreconditionError(f"install these first, or run this as root: {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with timed(f"installing with apt-get: {names}"):
        run("apt-get", "update", "--quiet", environment=environment)
        run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages, environment=environment)


def _await(daemon: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not succeeds("docker", "info"):
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise UnavailableError(f"no Docker engine starts here:\n{log.read_text()[-_LOG_TAIL:]}")
        time.sleep(0.2)


def _command(
    command: Annotated[list[str], typer.Argument(help="What to run meanwhile, after two hyphens.")],
    log: Annotated[Path, typer.Option(help="File for what the engine says.")] = PROJECT / "build/docker/dockerd.log",
) -> None:
    """Run a command with a Docker engine. Its exit code is the command's.

    Where no engine answers and you are root, docker.io is installed with apt-get and dockerd runs until the command has
    ended. debootstrap, faketime and docker-compose are installed as well where they are missing.

    Example: python -m infra.docker.with_engine -- pytest tests/docker
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that an engine that was started here is stopped
    try:
        with engine(log):
            code = subprocess.run(command, check=False).returncode  # noqa: S603 - what the user asked for
    except BandwatchError as error:
        typer.echo(f"with_engine: {error.message}", err=True)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    typer.run(_command)
