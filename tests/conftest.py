"""Fixtures that several kinds of tests share."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests.fault_table import pytest_addoption, pytest_runtest_makereport, pytest_sessionfinish

__all__ = ["pytest_addoption", "pytest_runtest_makereport", "pytest_sessionfinish"]

# A busy machine is slow, and that is no fault of the code.
# Continuous integration draws the same examples each time, so that a change is judged by what it changed.
settings.register_profile("bandwatch", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("bandwatch")

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "recordings"


@pytest.fixture(scope="session")
def recordings_dir() -> Path:
    """Give the folder of SigMF recordings of real LTE cells, or skip and say why."""
    folder = Path(os.environ.get("BANDWATCH_RECORDINGS", BESIDE_THE_CHECKOUT))
    if not any(folder.glob("*.sigmf-meta")):
        pytest.skip(f"no SigMF recordings in {folder}; set BANDWATCH_RECORDINGS to a folder that holds some")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder beside pytest's own, which every pytest that starts shuts to the user of root's PostgreSQL."""
    with TemporaryDirectory(prefix="bandwatch-test-") as folder:
        yield Path(folder).resolve()
