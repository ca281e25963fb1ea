"""A training run reads from top to bottom, and what learns knows nothing of where data come from or models go to."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

WORKER = Path(__file__).resolve().parents[2] / "training_worker"
RECIPES = sorted(path for path in (WORKER / "recipes").glob("*.py") if path.name != "__init__.py")
LEARNING = sorted(path for path in (WORKER / "learning").glob("*.py") if path.name != "__init__.py")
OUT_OF_REACH = (
    "alembic",
    "bandwatch.artifacts.blobs",
    "bandwatch.artifacts.keys",
    "bandwatch.artifacts.release_metadata",
    "bandwatch.artifacts.release_roots",
    "bandwatch.artifacts.signing",
    "bandwatch.wire",
    "celery",
    "coordinator",
    "grpc",
    "kombu",
    "psycopg",
    "redis",
    "sqlalchemy",
    "training_worker.coordinator_client",
    "training_worker.recipes",
)
"""Storage, broker, database, wire, and the layers above."""


def imported(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_out_of_reach(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in OUT_OF_REACH)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 150


@pytest.mark.parametrize("path", LEARNING, ids=lambda path: path.stem)
def test_learning_imports_no_storage_no_broker_and_no_wire(path: Path) -> None:
    assert [module for module in imported(path) if is_out_of_reach(module)] == []


def test_learning_loads_none_of_them_by_a_detour_either() -> None:
    modules = ", ".join(f"training_worker.learning.{path.stem}" for path in LEARNING)
    program = f"import sys, {modules}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = result.stdout.split()
    assert "training_worker.learning.fit" in loaded
    assert [module for module in loaded if is_out_of_reach(module)] == []


def test_imports_are_seen_wherever_they_hide(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text("def late():\n    from bandwatch import wire\n    import redis.asyncio\n    return wire, redis\n")
    assert [module for module in imported(hidden) if is_out_of_reach(module)] == ["bandwatch.wire", "redis.asyncio"]
