"""Who plays which part: the cell that most is learnt from, its neighbours, the other bands, and the uplink."""

from dataclasses import dataclass
from typing import Final

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.network.entries import BandEntry, CellEntry, ObserverEntry
from bandwatch.lte.network.network import Network

MOVING: Final = ("walking", "driving")
"""Mobilities of observers that do not stay."""
_ROUNDED_HZ: Final = 10e6


@dataclass(frozen=True)
class Observer:
    """A receiver, and what sets it apart from others of its cell: the place where it stays, or how it moves."""

    id: str
    context: str
    moves: bool


@dataclass(frozen=True)
class Cell:
    """A cell, its band as the paper calls it, by how much its load grows in a week, and its observers."""

    id: str
    band: str
    uplink: bool
    width_hz: float
    growth_per_week: float
    observers: tuple[Observer, ...]

    @property
    def name(self) -> str:
        """Return the band, and whether it is an uplink."""
        return f"{self.band} uplink" if self.uplink else self.band

    @property
    def heard_by(self) -> tuple[str, ...]:
        """Return the names of all observers."""
        return tuple(observer.id for observer in self.observers)

    @property
    def staying(self) -> tuple[Observer, ...]:
        """Return the observers that stay."""
        return tuple(observer for observer in self.observers if not observer.moves)

    @property
    def moving(self) -> tuple[Observer, ...]:
        """Return the observers that move."""
        return tuple(observer for observer in self.observers if observer.moves)


@dataclass(frozen=True)
class Places:
    """The cells of a network by the part that they play.

    Attributes:
        home: The first cell of the downlink band with the most cells.
        neighbours: The others on that band.
        abroad: The first cell of each other downlink band.
        uplinks: The first cell of each uplink band.
    """

    home: Cell
    neighbours: tuple[Cell, ...]
    abroad: tuple[Cell, ...]
    uplinks: tuple[Cell, ...]


def places_of(network: Network) -> Places:
    """Return the cells of a network by their parts.

    Raises:
        InvalidArgumentError: The network lacks one of the parts.
    """
    told = network.description
    by_band = {
        band.id: [_cell(cell, band, told.observers) for cell in told.cells if cell.band == band.id]
        for band in told.bands
    }
    downlinks = sorted((cells for cells in by_band.values() if cells and not cells[0].uplink), key=len, reverse=True)
    uplinks = [cells[0] for cells in by_band.values() if cells and cells[0].uplink]
    if len(downlinks) < 2 or len(downlinks[0]) < 2 or not uplinks:  # noqa: PLR2004 - a band and another, a cell too
        raise InvalidArgumentError(
            "the network needs two downlink bands, one of them with two cells, and an uplink band: "
            "what models do elsewhere cannot be seen without"
        )
    home, *neighbours = downlinks[0]
    if not {"static"} < {observer.mobility for observer in told.observers if observer.cell == home.id}:
        raise InvalidArgumentError(f"the cell {home.id!r} needs observers that stay and observers that move")
    return Places(home, tuple(neighbours), tuple(cells[0] for cells in downlinks[1:]), tuple(uplinks))


def _cell(cell: CellEntry, band: BandEntry, observers: tuple[ObserverEntry, ...]) -> Cell:
    return Cell(
        id=cell.id,
        band=f"{round(band.center_hz / _ROUNDED_HZ) * 10} MHz",
        uplink=band.direction == "uplink",
        width_hz=band.width_hz,
        growth_per_week=cell.growth_per_week,
        observers=tuple(
            Observer(one.id, one.id.removeprefix(f"{cell.id}-"), one.mobility in MOVING)
            for one in observers
            if one.cell == cell.id
        ),
    )
