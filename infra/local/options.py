"""What a person may choose about the platform on one machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_PORT: Final = 50051


@dataclass(frozen=True)
class StackOptions:
    """Choices for one local stack."""

    data_dir: Path
    """Everything lives in this folder: keys, database, blobs, logs."""
    port: int = DEFAULT_PORT
    """Where the coordinator listens on this machine; 0 takes any free port."""
    database_url: str | None = None
    """PostgreSQL to use; None starts one from the Python package that brings it."""
    redis_url: str | None = None
    """Redis to use; None starts one from the Python package that brings it."""
    workers: int = 1
    """Training workers to start."""
