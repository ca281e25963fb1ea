"""The geometry of frames and windows, and the slice of spectrum that they cover."""

from dataclasses import dataclass
from typing import Final

from bandwatch.errors import InvalidArgumentError

FRAME_BINS: Final = 128
"""Frequency bins of a frame (seed paper, section 3: 128 bins)."""
FRAME_SECONDS: Final = 256e-6
"""Duration of a frame."""
INPUT_FRAMES: Final = 100
"""Frames that a model sees."""
TARGET_FRAMES: Final = 25
"""Frames that it predicts from them."""
WINDOW_FRAMES: Final = INPUT_FRAMES + TARGET_FRAMES
"""Frames of a window."""
CODE_STEP_DB: Final = 0.5
"""Decibels between neighbouring codes."""


@dataclass(frozen=True)
class Band:
    """A slice of spectrum: the 128 bins of a frame cover exactly `width_hz` around `center_hz`."""

    center_hz: float
    width_hz: float

    def __post_init__(self) -> None:
        if not (self.center_hz > 0 and self.width_hz > 0):
            raise InvalidArgumentError("a band needs a positive centre frequency and a positive width, both in hertz")
