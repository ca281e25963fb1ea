"""The radio that all agents of a fleet share: a network that each of them hears for a short while in every period."""

import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.lte.network.description import NetworkDescription
from bandwatch.lte.network.frames import scene_frames
from bandwatch.lte.network.scene import SceneBuilder
from bandwatch.spectrogram.bands import FRAME_SECONDS, Band
from observer_agent.places.positions import Fix
from observer_agent.receivers.blocks import BLOCK_SECONDS, FINISHED_FRAMES, Block
from observer_agent.simulation.fleet import SimulatedObserver

_BLOCK_FRAMES: Final = round(BLOCK_SECONDS / FRAME_SECONDS)
_GRAIN_S: Final = 0.01
"""Looks begin at whole radio frames, so that what a cell always sends is computed once."""


@dataclass(frozen=True)
class DutyCycle:
    """Each observer listens for `listen_s` in every `period_s`, in seconds."""

    listen_s: float
    period_s: float

    @property
    def share(self) -> float:
        """Share of the time that is heard."""
        return self.listen_s / self.period_s


@dataclass
class Looks:
    """Looks of one observer at the radio: heard, left out for want of time, and how late the newest and the latest."""

    heard: int = 0
    left_out: int = 0
    late_s: float = 0.0
    latest_s: float = 0.0


@dataclass
class SharedRadio:
    """A network in step with the clock: what is heard is made once its time has come, by as many threads as cores."""

    network: NetworkDescription
    duty: DutyCycle
    start_s: float
    """What the network's clock shows as the simulation begins, in seconds since its midnight."""
    began_s: float = field(default_factory=time.monotonic)
    _slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(os.cpu_count() or 1))

    @property
    def stream_s(self) -> float:
        """Seconds since the simulation began."""
        return time.monotonic() - self.began_s

    def frames(self, observer: SimulatedObserver, stream_s: float) -> NDArray[np.uint8]:
        """Return what an observer hears in a look that begins at a time of the stream, codes uint8 [n, 128]."""
        network_s = round((self.start_s + stream_s) / _GRAIN_S) * _GRAIN_S
        entry = observer.entry.model_copy(update={"cell": observer.cell_at(network_s)})
        with self._slots:
            scene = SceneBuilder(self.network, entry, network_s, 0).scene(())
            return scene_frames(scene).read(round(self.duty.listen_s / FRAME_SECONDS))


class SimulatedRadio:
    """The receiver of one observer: finished frames of its band, one look in every period, the rest unheard.

    Looks of observers are spread over the period by `phase`, from 0 to 1. A frame counts as one sample.
    """

    sample_rate_hz: float = 1 / FRAME_SECONDS

    def __init__(self, radio: SharedRadio, observer: SimulatedObserver, phase: float) -> None:
        self.looks = Looks()
        self.gain_db: float | None = observer.entry.gain_db
        self.center_hz = observer.band.center_hz
        self.band: Band = observer.spectrum
        self.description = f"{observer.name} of a simulated network, {observer.entry.mobility}"
        self._radio = radio
        self._observer = observer
        self._phase_s = phase * radio.duty.period_s
        self._ended = False
        self._stop: threading.Event | None = None

    def end(self) -> None:
        """Hear nothing more: the source ends after what is being heard."""
        self._ended = True
        if self._stop is not None:
            self._stop.set()

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield the blocks of one look after the other, each look once its time is over."""
        self._stop = stop
        if self._ended:
            return
        number = self._newest_number() + 1
        while not self._wait(self._begins_s(number), stop):
            codes = self._radio.frames(self._observer, self._begins_s(number))
            over_s = self._begins_s(number) + self._radio.duty.listen_s
            if self._wait(over_s, stop):
                return
            self._note(over_s)
            yield from self._cut(codes, self._begins_s(number))
            overdue = max(number + 1, self._newest_number())
            self.looks.left_out += overdue - number - 1
            number = overdue

    def _newest_number(self) -> int:
        """Return the number of the look that began last."""
        return math.floor((self._radio.stream_s - self._phase_s) / self._radio.duty.period_s)

    def _begins_s(self, number: int) -> float:
        return self._phase_s + number * self._radio.duty.period_s

    def _wait(self, until_s: float, stop: threading.Event) -> bool:
        """Wait until a time of the stream, and tell whether to stop."""
        return stop.wait(max(0.0, until_s - self._radio.stream_s))

    def _note(self, over_s: float) -> None:
        """Count a look that was to be over at a time of the stream."""
        self.looks.heard += 1
        self.looks.late_s = max(0.0, self._radio.stream_s - over_s)
        self.looks.latest_s = max(self.looks.latest_s, self.looks.late_s)

    def _cut(self, codes: NDArray[np.uint8], begins_s: float) -> Iterator[Block]:
        first = round(begins_s * self.sample_rate_hz)
        for start in range(0, len(codes), _BLOCK_FRAMES):
            piece = codes[start : start + _BLOCK_FRAMES]
            yield Block(piece.tobytes(), FINISHED_FRAMES, first + start, len(piece), discontinuity=start == 0)


class SimulatedPositions:
    """Knows where one observer of a network is."""

    description = "simulated network"

    def __init__(self, radio: SharedRadio, observer: SimulatedObserver) -> None:
        self._radio = radio
        self._observer = observer

    def at(self, stream_s: float) -> Fix:
        """Return where the observer is at a moment of the stream."""
        return self._observer.fix(self._radio.start_s + stream_s)

    def close(self) -> None:
        """Hold nothing."""
