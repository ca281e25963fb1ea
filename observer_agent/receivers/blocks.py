"""What every receiver gives: raw samples in blocks, in order, with what was lost between them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from bandwatch.spectrogram.bands import Band

BLOCK_SECONDS: Final = 0.1
"""Duration of a block: short enough that an anomaly is seen at once, long enough to score windows in batches."""
FINISHED_FRAMES: Final = "frames_u8"
"""Of blocks that hold frames in half-dB codes, 128 bytes each, instead of samples; a frame counts as one sample."""


@dataclass(frozen=True)
class Block:
    """Consecutive samples as the converter gave them.

    `first_sample` counts from the start of the stream, samples that were lost included. `discontinuity` says that the
    samples do not continue those of the block before: some were lost, or a recording began anew.
    """

    raw: bytes
    datatype: str
    first_sample: int
    sample_count: int
    lost_samples: int = 0
    discontinuity: bool = False

    @property
    def end_sample(self) -> int:
        """First sample after the block."""
        return self.first_sample + self.sample_count


class Receiver(Protocol):
    """A source of samples, tuned once."""

    @property
    def description(self) -> str:
        """What it is, in words."""

    @property
    def sample_rate_hz(self) -> float:
        """Samples a second."""

    @property
    def center_hz(self) -> float:
        """Frequency that it is tuned to."""

    @property
    def gain_db(self) -> float | None:
        """Gain, where it is known and fixed."""

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks until the source ends or `stop` is set.

        Raises:
            UnavailableError: The source broke.
        """


@runtime_checkable
class FrameReceiver(Receiver, Protocol):
    """A receiver that makes frames of one band itself: its blocks hold finished frames."""

    @property
    def band(self) -> Band:
        """The band that its frames show."""
