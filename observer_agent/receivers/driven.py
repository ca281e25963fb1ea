"""A drive through simulated cells as a receiver: it hears the cell whose middle is nearest on its way."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from bandwatch.errors import InvalidArgumentError
from bandwatch.geography import Point, distance_m
from observer_agent.places.track_file import TrackFile
from observer_agent.receivers.blocks import Block
from observer_agent.receivers.json_files import read_json_file
from observer_agent.receivers.simulated import SimulatedReceiver, Simulation


class DrivenCell(BaseModel):
    """A simulated cell and where its middle is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    simulation: Simulation


class Drive(BaseModel):
    """What the JSON file of a drive says: the track's file, beside it unless it has a whole path, and the cells."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    track: Path
    cells: Annotated[tuple[DrivenCell, ...], Field(min_length=1, max_length=64)]

    @classmethod
    def read(cls, path: Path) -> "Drive":
        """Read a drive from its JSON file.

        Raises:
            NotFoundError: There is no such file.
            InvalidArgumentError: Its content is of another form.
        """
        drive = read_json_file(path, cls)
        return drive.model_copy(update={"track": path.parent / drive.track})


class DrivenReceiver:
    """Receives one cell after the other, each for as long as it is the nearest; the drive ends with its track.

    Raises:
        NotFoundError: There is no track.
        InvalidArgumentError: The track cannot be read, or the cells are not received alike.
    """

    gain_db: float | None = None

    def __init__(self, drive: Drive) -> None:
        self.track = TrackFile(drive.track)
        self._cells = [(Point(c.latitude_deg, c.longitude_deg), SimulatedReceiver(c.simulation)) for c in drive.cells]
        tunings = {(cell.sample_rate_hz, cell.center_hz) for _, cell in self._cells}
        if len(tunings) > 1:
            raise InvalidArgumentError(
                "a receiver is tuned once: give all cells of a drive the same carrier_hz and resource_blocks"
            )
        [(self.sample_rate_hz, self.center_hz)] = tunings
        self.description = f"drive through {len(self._cells)} simulated cells along {drive.track.name}"

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks of a tenth of a second, each of one cell."""
        heard = [cell.blocks(stop) for _, cell in self._cells]
        first = 0
        while first < self.track.duration_s * self.sample_rate_hz and not stop.is_set():
            block = next(heard[self._nearest(first / self.sample_rate_hz)], None)
            if block is None:
                return
            yield replace(block, first_sample=first)
            first += block.sample_count

    def _nearest(self, stream_s: float) -> int:
        here = self.track.at(stream_s).point
        return min(range(len(self._cells)), key=lambda number: distance_m(self._cells[number][0], here))
