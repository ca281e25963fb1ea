"""Commands of other programs, run with their words shown when they fail."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer

from bandwatch.errors import FailedPreconditionError

_SHOWN_CHARACTERS: Final = 3000


def run(*command: str | Path, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> str:
    """Run a command to its end, and return what it printed.

    Raises:
        FailedPreconditionError: It failed, or is not installed; the sentence holds its last words.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the commands are written in this package
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=folder,
        )
    except FileNotFoundError as error:
        raise FailedPreconditionError(f"{command[0]} is not installed: install it with apt-get") from error
    if done.returncode != 0:
        words = " ".join(map(str, command))
        raise FailedPreconditionError(f"{words} failed:\n{done.stdout[-_SHOWN_CHARACTERS:]}")
    return done.stdout


def succeeds(*command: str) -> bool:
    """Tell whether a command is there and ends with 0."""
    try:
        run(*command)
    except FailedPreconditionError:
        return False
    return True


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Say on standard error what begins now, and at its end how long it took."""
    typer.echo(f"{what} ...", err=True)
    began = time.monotonic()
    yield
    typer.echo(f"{what}: {time.monotonic() - began:.1f} s", err=True)
