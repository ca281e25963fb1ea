"""Plays blocks at the speed of the air."""

import threading
import time
from collections.abc import Iterator

from observer_agent.receivers.blocks import Block


def paced(blocks: Iterator[Block], sample_rate_hz: float, stop: threading.Event) -> Iterator[Block]:
    """Yield each block once its last sample would have been received; end when `stop` is set."""
    begun_s = time.monotonic()
    for block in blocks:
        due_s = begun_s + block.end_sample / sample_rate_hz
        if stop.wait(max(0.0, due_s - time.monotonic())):
            return
        yield block
