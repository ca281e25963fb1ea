"""What a fit needs to go on after its process was killed: written aside, synced, renamed."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch


def save(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step, so that a reader finds the old one or the new one, whole."""
    aside = path.with_name(path.name + ".part")
    with aside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path, plan: str) -> dict[str, Any] | None:
    """Return the state saved under the same plan, or None where there is none that can be used.

    A checkpoint only saves time, so one that is damaged or belongs to another fit is passed over.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    return state if state.get("plan") == plan else None
