"""Who takes part: the observers of a network, repeated until there are enough, and where they are on the Earth."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from bandwatch.geography import EARTH_RADIUS_M, Point, bearing_deg
from bandwatch.lte.network.description import NetworkDescription, by_id, named
from bandwatch.lte.network.entries import BandEntry, CellEntry, ObserverEntry, Place
from bandwatch.lte.network.place import Track
from bandwatch.spectrogram.bands import Band
from observer_agent.places.positions import Fix

_ORIGIN: Final = Point(52.0, 13.0)
"""Where on the Earth the point lies that places of a network are relative to."""
_APART_M: Final = 20.0
"""How far east and north of the observer that it repeats another one is, at most."""
_ACCURACY_M: Final = 5.0


@dataclass(frozen=True)
class SimulatedObserver:
    """An observer of the network; `entry` says how it listens, `cells` are those of its band."""

    entry: ObserverEntry
    band: BandEntry
    cells: tuple[CellEntry, ...]

    @property
    def name(self) -> str:
        """Its full name at the coordinator."""
        return names.observers.name(self.entry.id)

    @property
    def spectrum(self) -> Band:
        """What it is tuned to."""
        return Band(self.band.center_hz, self.band.width_hz)

    def place_m(self, network_s: float) -> Place:
        """Return where it is, in metres east and north, so many seconds after the network's midnight."""
        east_m, north_m = Track.of(self.entry).at(np.array([network_s]))
        return float(east_m[0]), float(north_m[0])

    def cell_at(self, network_s: float) -> str:
        """Return the cell that serves it: its own where it stays, else the one whose middle is nearest."""
        if self.entry.mobility == "static":
            return self.entry.cell
        here_m = self.place_m(network_s)
        return min(self.cells, key=lambda cell: math.dist(cell.position_m, here_m)).id

    def fix(self, network_s: float) -> Fix:
        """Return where it is on the Earth, how fast and in which direction it moves."""
        here, soon = to_point(self.place_m(network_s)), to_point(self.place_m(network_s + 1.0))
        speed_mps = Track.of(self.entry).speed_mps
        heading = bearing_deg(here, soon) if speed_mps else None
        return Fix(here.latitude_deg, here.longitude_deg, _ACCURACY_M, speed_mps, heading)


def to_point(place_m: Place) -> Point:
    """Return where on the Earth a place of a network is, in metres east and north."""
    east_m, north_m = place_m
    latitude_deg = _ORIGIN.latitude_deg + math.degrees(north_m / EARTH_RADIUS_M)
    parallel_m = EARTH_RADIUS_M * math.cos(math.radians(_ORIGIN.latitude_deg))
    return Point(latitude_deg, _ORIGIN.longitude_deg + math.degrees(east_m / parallel_m))


def radius_m(cell: CellEntry, observers: Sequence[SimulatedObserver]) -> float:
    """Return how far a cell reaches to cover every place that observers of its band come to."""
    ways = [
        math.dist(cell.position_m, observer.entry.position_m)
        + (observer.entry.radius_m if observer.entry.mobility != "static" else 0.0)
        for observer in observers
        if observer.band.id == cell.band
    ]
    return max([1.0, *ways])


def make_fleet(network: NetworkDescription, size: int) -> list[SimulatedObserver]:
    """Return so many observers: those of the network in its order, then again as ID-2, ID-3, each up to 20 m away.

    Raises:
        InvalidArgumentError: The network has no observers, two would have one name, or a name is none for a registry.
    """
    if not network.observers:
        raise InvalidArgumentError("the network has no observers: add at least one [[observers]] table")
    cells, bands = by_id("cell", network.cells), by_id("band", network.bands)
    for band_id in bands:
        names.bands.name(band_id)
    for cell_id in cells:
        names.cells.name(cell_id)
    fleet = []
    for number in range(size):
        entry = _repeated(network, number)
        cell = named(cells, entry.cell, f"observer {entry.id!r}")
        same_band = tuple(other for other in network.cells if other.band == cell.band)
        fleet.append(SimulatedObserver(entry, bands[cell.band], same_band))
    taken = [observer.name for observer in fleet]
    if len(set(taken)) < len(taken):
        twice = next(name for name in taken if taken.count(name) > 1)
        raise InvalidArgumentError(f"two observers would be called {twice}: rename one in the network")
    return fleet


def _repeated(network: NetworkDescription, number: int) -> ObserverEntry:
    repetition, index = divmod(number, len(network.observers))
    entry = network.observers[index]
    if not repetition:
        return entry
    chance = random.Random(f"{network.seed} {entry.id} {repetition}")
    east_m, north_m = (middle + chance.uniform(-_APART_M, _APART_M) for middle in entry.position_m)
    return entry.model_copy(update={"id": f"{entry.id}-{repetition + 1}", "position_m": (east_m, north_m)})
