"""Reads what an agent wrote for inspection."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_inspection(folder: Path | None) -> tuple[list[dict[str, Any]], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the scores, all frames uint8 [n, 128], and the predicted frames uint8 [windows, 25, 128]."""
    assert folder is not None
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    frames = np.fromfile(folder / "frames.u8", dtype=np.uint8).reshape(-1, 128)
    predicted = np.fromfile(folder / "predicted.u8", dtype=np.uint8).reshape(-1, 25, 128)
    return scores, frames, predicted
