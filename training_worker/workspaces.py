"""Folders in which the attempts at a run keep checkpoints and logs."""

from pathlib import Path

from bandwatch import names


def workspace_of(data_dir: Path, run: str) -> Path:
    """Return the folder of a run, made if need be."""
    workspace = data_dir / "runs" / names.runs.id(run)
    workspace.mkdir(parents=True, exist_ok=True)
    return workspace


def log_of(data_dir: Path, run: str, fence: int) -> Path:
    """Return the log of one attempt."""
    return workspace_of(data_dir, run) / f"attempt-{fence}.log"
