"""What an installation brings with it."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = {"torch", "onnx", "sqlalchemy", "alembic", "psycopg", "celery", "redis", "starlette", "fastapi", "matplotlib"}


def _closure(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> set[str]:
    """Return every distribution that a distribution with these extras installs."""
    if (name, extras) in seen:
        return set()
    seen.add((name, extras))
    found = {name}
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return found  # needed on other systems only
    for requirement in map(Requirement, lines):
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in (extras or {""})
        )
        if wanted:
            found |= _closure(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return found


def test_the_agent_installs_no_training_database_or_web_stack() -> None:
    installed = _closure("bandwatch", frozenset({"agent"}), set())
    assert "onnxruntime" in installed
    assert installed & HEAVY == set()


def test_the_coordinator_installs_no_training_stack() -> None:
    installed = _closure("bandwatch", frozenset({"coordinator"}), set())
    assert "sqlalchemy" in installed
    assert installed & {"torch", "onnx", "onnxruntime"} == set()


def test_every_program_shows_its_help() -> None:
    for module in ("observer_agent", "coordinator", "training_worker", "operator_console"):
        result = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
        assert "Usage" in result.stdout
