"""File systems in memory that are soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system that holds blobs and, when it is to be full, a file that takes what is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def leave(self, free_bytes: int) -> None:
        """Fill the disk until so much is left."""
        self._filler.unlink(missing_ok=True)
        state = os.statvfs(self.folder)
        size = state.f_bavail * state.f_frsize - free_bytes
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, size)

    def make_room(self) -> None:
        """Let go of what fills it."""
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, size: int = 64 << 20) -> Iterator[SmallDisk]:
    """Mount a small file system in memory, or skip and say why."""
    folder.mkdir(parents=True)
    options = f"size={size},mode=700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
