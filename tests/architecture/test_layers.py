"""The house keeps its shape: what imports what, in the source and at run time."""

import subprocess
import sys
from pathlib import Path

import pytest

STACKS = {
    "database": {"sqlalchemy", "alembic", "psycopg"},
    "training": {"torch", "onnx", "onnxscript"},
    "inference": {"onnxruntime"},
    "jobs": {"celery", "kombu", "redis"},
    "wire": {"grpc", "google.protobuf"},
}
FORBIDDEN_AT_RUN_TIME = {
    "bandwatch.errors": set().union(*STACKS.values()) | {"numpy"},
    "bandwatch.names": set().union(*STACKS.values()) | {"numpy"},
    "bandwatch.geography": set().union(*STACKS.values()) | {"numpy"},
    "bandwatch.spectrogram.frames": set().union(*STACKS.values()),
    "bandwatch.spectrogram.scoring": set().union(*STACKS.values()),
    "bandwatch.lte.downlink.cell": set().union(*STACKS.values()),
    "bandwatch.artifacts.manifest": set().union(*STACKS.values()),
    "observer_agent.places.place_finder": set().union(*STACKS.values()) | {"numpy"},
    "observer_agent.app": STACKS["database"] | STACKS["training"] | STACKS["jobs"],
    "coordinator.app": STACKS["training"] | STACKS["inference"],
    "training_worker.app": STACKS["database"],
    "training_worker.learning.fit": STACKS["database"] | STACKS["jobs"] | STACKS["wire"],
    "operator_console.__main__": STACKS["database"] | STACKS["training"] | STACKS["inference"],
}


def test_every_import_contract_holds() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("module", FORBIDDEN_AT_RUN_TIME)
def test_a_module_loads_nothing_of_the_stacks_it_must_not_need(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert loaded & FORBIDDEN_AT_RUN_TIME[module] == set()
