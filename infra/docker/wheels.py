"""Wheels of a program and of all that it needs: the build of its image needs no network then."""

import platform
import shutil
import sys
import threading
import tomllib
from pathlib import Path
from typing import Final

from infra.docker.commands import run, timed

PROJECT: Final = Path(__file__).resolve().parents[2]
_STAMP: Final = "made-of"
_PIP: Final = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
_IN_PROJECT: Final = threading.Lock()
"""Held while pip builds in the folder of the project, where only one build at a time may work."""
_FOR_OLDER_PYTHON: Final = ("async-timeout",)
"""What redis asks for under Python 3.11.3, as Debian 12 has: pip decides by the Python that it runs with, not by the
image's. The build looks whether anything else is missing."""


def make_needed_wheels(extra: str, context: Path) -> None:
    """Put pip, and the wheels that bandwatch with an extra needs, into the context of an image.

    They are kept until the project's requirements change.

    Raises:
        FailedPreconditionError: pip fails, as when a package cannot be had.
    """
    stamp, wheels, made_of = context / _STAMP, context / "wheels", _requirements(extra)
    if stamp.exists() and stamp.read_text() == made_of:
        return
    shutil.rmtree(context, ignore_errors=True)
    with timed(f"making the wheels that bandwatch[{extra}] needs"):
        run(*_PIP, "wheel", "--wheel-dir", wheels, f"{PROJECT}[{extra}]", *_FOR_OLDER_PYTHON)
        run(*_PIP, "download", "--no-deps", "--dest", context, "pip")
    next(wheels.glob("bandwatch-*.whl")).unlink()
    stamp.write_text(made_of)


def make_own_wheel(context: Path) -> None:
    """Put the wheel of bandwatch as it is now into the context of an image.

    Raises:
        FailedPreconditionError: pip fails.
    """
    program = context / "program"
    shutil.rmtree(program, ignore_errors=True)
    with _IN_PROJECT, timed("making the wheel of bandwatch"):
        run(*_PIP, "wheel", "--no-deps", "--wheel-dir", program, PROJECT)


def _requirements(extra: str) -> str:
    """Return what decides which wheels are needed, as text."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    wanted = (*project["dependencies"], *project["optional-dependencies"][extra], *_FOR_OLDER_PYTHON)
    return repr((platform.python_version(), wanted))
