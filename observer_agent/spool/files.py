"""Files that are either as they were or wholly new after a loss of power."""

import os
from pathlib import Path

from bandwatch.artifacts.blobs import sync_folder


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file: write aside, sync, rename, sync the folder. Nothing of it stays where the disk takes no more."""
    aside = path.with_name(f"{path.name}.aside")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    aside.replace(path)
    sync_folder(path.parent)
