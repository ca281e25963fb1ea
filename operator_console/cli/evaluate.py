"""bandwatch evaluate."""

import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import typer

from bandwatch.errors import FailedPreconditionError

_NEEDED: Final = ("training_worker", "torch")
"""Packages of the worker's program, which may be absent where only the console is installed."""


def evaluate(ctx: typer.Context) -> None:
    """Judge models and methods as the worker's program does: everything that follows is handed to it.

    Example: bandwatch evaluate --help
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise FailedPreconditionError(
                f"`bandwatch evaluate` needs the package {package}: install it with pip install 'bandwatch[worker]'"
            )
    command = [sys.executable, "-P", "-m", "training_worker", "evaluate", *ctx.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own worker's program
