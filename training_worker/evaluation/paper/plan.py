"""Which models are made of which data; experiments that ask for the same model share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from training_worker.evaluation.paper.places import Cell, Places
from training_worker.evaluation.paper.scale import Scale
from training_worker.evaluation.paper.scenes import ALL_HOURS, DAY_S, HOUR_S, Scene, day, interval, seconds_of
from training_worker.evaluation.paper.training import Fitting, Scratch
from training_worker.learning import networks

TRAINING_DAY: Final = 1
"""The day that models are trained on."""
TEST_DAY: Final = 3
"""The day that they are judged on."""
WEEKS_LATER: Final = 12
"""Weeks from that day to the later one, on which an old model is judged."""
DAY_HOURS: Final = tuple(range(9, 21))
"""Hours of daytime; the others are night."""
NIGHT_HOURS: Final = tuple(hour for hour in ALL_HOURS if hour not in DAY_HOURS)
"""Hours of night."""
LOCAL_HOUR: Final = 14
"""When a new cell begins to collect local data."""
LSTM_LAYERS: Final = {False: 2, True: 3}
"""LSTM layers of downlink and uplink (seed paper)."""
AUTOENCODER_LAYERS: Final = {False: 4, True: 6}
"""Dense layers of the autoencoder for downlink and uplink (seed paper)."""
AUTOENCODER_LEARNING_RATE: Final = 1e-4
"""Its many weights on the input fit the windows by heart at the LSTM's rate; with this one it takes more passes."""
_FIVE_MINUTES_S: Final = 300.0


@dataclass(frozen=True)
class Plan:
    """What is to be done: how much, where, and with which chance."""

    scale: Scale
    places: Places
    seed: int

    @property
    def fitting(self) -> Fitting:
        """How networks are trained from random weights."""
        return Fitting(self.scale.stride_frames, self.scale.passes, self.seed)

    @property
    def refitting(self) -> Fitting:
        """How they are refitted."""
        return Fitting(self.scale.stride_frames, self.scale.refit_passes, self.seed)

    def day_of(self, cell: Cell) -> tuple[Scene, ...]:
        """Return what all observers of a cell hear in turn on the training day."""
        scale = self.scale
        return day(cell.heard_by, TRAINING_DAY, scale.day_s, scale.stretch_s, episode=self.seed)

    def unified(self, cell: Cell) -> Scratch:
        """Return the model of all observers of a cell."""
        return Scratch(f"the LSTM of {cell.id}", self.day_of(cell), self.fitting, layers=LSTM_LAYERS[cell.uplink])

    def common(self, cells: Sequence[Cell]) -> Scratch:
        """Return the model of all observers of several downlink cells."""
        scenes = tuple(scene for cell in cells for scene in self.day_of(cell))
        return Scratch(f"the LSTM of {' and '.join(cell.id for cell in cells)}", scenes, self.fitting)

    def small(self, cell: Cell, scenes: tuple[Scene, ...]) -> Scratch:
        """Return the model of a few scenes of a cell."""
        return Scratch(f"the LSTM of {seconds_of(scenes):.3g} s of {cell.id}", scenes, self.fitting)

    def autoencoder(self, cell: Cell) -> Scratch:
        """Return the autoencoder of all observers of a cell."""
        scale = self.scale
        fitting = Fitting(scale.stride_frames, 2 * scale.passes, self.seed, AUTOENCODER_LEARNING_RATE)
        layers = AUTOENCODER_LAYERS[cell.uplink]
        return Scratch(f"the autoencoder of {cell.id}", self.day_of(cell), fitting, networks.AUTOENCODER, layers)

    def special(self, name: str, observers: Sequence[str], hours: Sequence[int] = ALL_HOURS) -> Scratch:
        """Return the model of some observers and hours alone."""
        scale = self.scale
        scenes = day(observers, TRAINING_DAY, scale.place_s, scale.stretch_s, hours, self.seed)
        return Scratch(f"the LSTM of {name}", scenes, self.fitting)

    def minutes(self, cell: Cell) -> tuple[Scene, ...]:
        """Return five minutes of a cell."""
        return self.local(cell, _FIVE_MINUTES_S, self.scale.interval_stretches, self.scale.interval_stretch_s)

    def hour(self, cell: Cell) -> tuple[Scene, ...]:
        """Return an hour of a cell."""
        return self.local(cell, HOUR_S, 2 * self.scale.interval_stretches, self.scale.interval_stretch_s)

    def local(self, cell: Cell, length_s: float, stretches: int, stretch_s: float) -> tuple[Scene, ...]:
        """Return stretches spread over the first local data of a cell."""
        start_s = TRAINING_DAY * DAY_S + LOCAL_HOUR * HOUR_S
        return interval(cell.heard_by, start_s, length_s, stretches, stretch_s, self.seed)

    def test(self, cell: Cell, days_later: int = 0) -> tuple[Scene, ...]:
        """Return what every observer of a cell hears on the test day, or some days later."""
        scale = self.scale
        return tuple(
            scene
            for observer in cell.heard_by
            for scene in day(
                [observer],
                TEST_DAY + days_later,
                scale.test_s,
                scale.test_stretch_s,
                scale.test_hours,
                self.seed,
            )
        )
