"""One simulated cell as ten observers hear it, a model of it, and what an agent's own code makes of it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import Manifest, ModelContent, TensorEntry
from bandwatch.lte.anomalies.timetable import Anomaly, AnomalyMixer
from bandwatch.lte.downlink.cell import CellConfig, SimulatedCell
from bandwatch.lte.radio.channel import ChannelConfig
from bandwatch.spectrogram.bands import Band
from observer_agent.agent.event_keeping import EventKeeper
from observer_agent.agent.keeping import Keeper
from observer_agent.detection.detector import DetectionOptions
from observer_agent.detection.model import ScoringModel, load_model
from observer_agent.detection.pipeline import Pipeline
from observer_agent.models.desired import DesiredState
from observer_agent.receivers.blocks import BLOCK_SECONDS, Block
from observer_agent.receivers.clock import SampleClock
from observer_agent.settings import AgentSettings
from observer_agent.spool.records import HeldEvent
from observer_agent.spool.store import Spool
from training_worker.learning.dataset import WindowSet
from training_worker.learning.networks import LstmConfig, new_predictor
from training_worker.recipes.families import solve_from
from training_worker.recipes.trained import Origin, trained_model

CARRIER_HZ: Final = 881.5e6
WIDTH_HZ: Final = 5e6
_STRIDE_FRAMES: Final = 25
_RATE: Final = 0.001
"""Share of normal windows that may be flagged: less than usual, since a model of a few seconds knows little."""


class CellOnAir:
    """What a cell sends, once; every observer hears the same of it, each at its own level and with its own noise."""

    def __init__(self) -> None:
        channel = ChannelConfig(mobility="static", signal_to_noise_db=40.0, carrier_hz=CARRIER_HZ)
        self._cell = SimulatedCell(CellConfig(cell_identity=5), channel, seed=1)
        self.sample_rate_hz = float(self._cell.sample_rate_hz)

    def send(self, seconds: float) -> NDArray[np.complex64]:
        """Return the next samples."""
        return self._cell.read(round(seconds * self.sample_rate_hz))


class Place:
    """A receiver of what is sent, at the place of observer `number`."""

    description = "a place in a simulated cell"
    center_hz = CARRIER_HZ
    gain_db: float | None = None

    def __init__(self, number: int, sent: NDArray[np.complex64], sample_rate_hz: float) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._number = number
        self._sent = sent

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield what is heard, in blocks of a tenth of a second."""
        random = np.random.default_rng(self._number)
        length = round(BLOCK_SECONDS * self.sample_rate_hz)
        level = np.float32(10 ** (-2 * self._number / 20))
        noise = np.float32(np.sqrt(np.mean(np.abs(self._sent[:length]) ** 2) / 2) * 10 ** (-(20 + self._number) / 20))
        for first in range(0, len(self._sent), length):
            if stop.is_set():
                return
            part = self._sent[first : first + length]
            disturbed = part + noise * random.standard_normal(2 * len(part), np.float32).view(np.complex64)
            raw = np.ascontiguousarray(level * disturbed, dtype="<c8").tobytes()
            yield Block(raw, "cf32_le", first, len(part))


def frames_of(receiver: Place) -> NDArray[np.uint8]:
    """Return the frames of a cell, as an agent makes them."""
    pipeline = Pipeline(receiver, Band(CARRIER_HZ, WIDTH_HZ), DetectionOptions())
    return np.concatenate([pipeline.push(block, None).codes for block in receiver.blocks(threading.Event())])


def model_of(segments: list[NDArray[np.uint8]], folder: Path) -> ScoringModel:
    """Return a model of a cell: a body that nobody trained, its dense layer solved, exported as by a worker.

    Such a body is a poor teacher; solving its dense layer makes a fair student of it, within seconds.
    """
    body = new_predictor(LstmConfig(layers=1), seed=1)
    solved = solve_from(body, WindowSet.cut(segments, _STRIDE_FRAMES, 0), lambda _: None)
    made = trained_model(solved.predictor, solved.rest, Origin())
    blobs = BlobStore(folder)
    tensors = [
        TensorEntry(name=name, shape=values.shape, blob=blobs.write(np.ascontiguousarray(values).tobytes()))
        for name, values in made.tensors.items()
    ]
    content = ModelContent(
        family=made.family,
        graph=blobs.write(made.graph),
        tensors=tuple(tensors),
        frozen_layers=0,
        error=made.error,
        scores=made.scores,
        default_score=made.default_score,
        golden_errors_db=made.golden_errors_db,
    )
    manifest = Manifest(
        serial=1,
        model="models/m-1",
        band="bands/north",
        cell="cells/oak",
        parent=None,
        run="runs/r1",
        content=content,
        created_at=datetime.now(UTC),
    )
    return load_model(manifest, read_blob=lambda reference: blobs.read(reference.digest), threads=1)


@dataclass(frozen=True)
class Listening:
    """What every observer of the cell works with, and when its stream began."""

    folder: Path
    settings: AgentSettings
    model: ScoringModel
    begun_at: datetime

    def events_of(self, number: int, receiver: Place, transmitter: Anomaly | None) -> list[HeldEvent]:
        """Let an agent's own code hear a stream to its end, and return what its spool holds of events."""
        mixer = AnomalyMixer([transmitter], receiver.sample_rate_hz, seed=number) if transmitter else None
        desired = DesiredState(
            revision=1,
            cell="cells/oak",
            band="bands/north",
            center_hz=CARRIER_HZ,
            width_hz=WIDTH_HZ,
            training_target_s=0.0,
        )
        spool = Spool(self.folder / f"o{number}", limit_bytes=10**9, quarantine_limit_bytes=10**7)
        keeper = Keeper(spool, self.settings, mobility="static", gain_db=None, on_made=lambda: None)
        clock = SampleClock(receiver.sample_rate_hz)
        following = EventKeeper(keeper, clock, self.settings)
        options = DetectionOptions(false_alarm_rate=_RATE)
        pipeline = Pipeline(receiver, desired.spectrum, options, mixer=mixer)
        for block in receiver.blocks(threading.Event()):
            arrived_at = self.begun_at + timedelta(seconds=block.end_sample / receiver.sample_rate_hz)
            clock.arrived(block.end_sample, arrived_at)
            following.push(pipeline.push(block, self.model), desired)
        following.close(desired)
        held = spool.events(500)
        spool.close()
        return held


def in_turn(parts: list[list[HeldEvent]]) -> Iterator[tuple[int, HeldEvent]]:
    """Yield the reports of all observers by the time at which they were made, as far as that can be seen."""
    told = [(number, held) for number, part in enumerate(parts) for held in part]
    yield from sorted(told, key=lambda pair: pair[1].record.end_at or pair[1].record.start_at)
