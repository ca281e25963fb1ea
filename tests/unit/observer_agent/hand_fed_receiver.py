"""A receiver whose blocks a test hands over one by one."""

import asyncio
import queue
import threading
from collections.abc import Iterator

import numpy as np

from bandwatch.errors import UnavailableError
from bandwatch.spectrogram.bands import FRAME_SECONDS
from bandwatch.spectrogram.samples import encode_samples
from observer_agent.receivers.blocks import Block

RATE_HZ = 1.92e6
CENTER_HZ = 1890e6


class HandFedReceiver:
    """Gives noise in stated numbers of frames."""

    description = "receiver of the test"
    sample_rate_hz = RATE_HZ
    center_hz = CENTER_HZ
    gain_db = 20.0

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._blocks: queue.Queue[Block | UnavailableError | None] = queue.Queue()
        self._next_sample = 0

    def feed(self, frames: int, *, lost_samples: int = 0) -> None:
        """Hand over so many frames of noise, after a gap if samples were lost."""
        end = round((self._next_sample / (RATE_HZ * FRAME_SECONDS) + frames) * RATE_HZ * FRAME_SECONDS)
        count = end - self._next_sample
        noise = self._random.standard_normal((count, 2), dtype=np.float32).view(np.complex64)[:, 0]
        raw = encode_samples(noise * np.float32(0.1), "ci16_le")
        first = self._next_sample + lost_samples
        self._blocks.put(Block(raw, "ci16_le", first, count, lost_samples, discontinuity=lost_samples > 0))
        self._next_sample = first + count

    async def feed_and_wait(self, frames: int, *, lost_samples: int = 0) -> None:
        """Hand over frames, and return once the agent has dealt with them and all before."""
        self.feed(frames, lost_samples=lost_samples)
        await asyncio.to_thread(self._blocks.join)

    def end(self) -> None:
        """End the stream."""
        self._blocks.put(None)

    def break_off(self) -> None:
        """Fail, as a radio does whose cable is pulled."""
        self._blocks.put(UnavailableError("the radio was unplugged"))

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield what was handed over."""
        while not stop.is_set():
            try:
                block = self._blocks.get(timeout=0.02)
            except queue.Empty:
                continue
            if block is None:
                return
            if isinstance(block, UnavailableError):
                raise block
            yield block
            self._blocks.task_done()
