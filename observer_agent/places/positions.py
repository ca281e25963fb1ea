"""What every source of positions gives: where the observer is, or which cell serves it."""

from dataclasses import dataclass
from typing import Protocol

from bandwatch.geography import Point


@dataclass(frozen=True)
class Fix:
    """A position and how it changes; what is not known is None. The heading is clockwise from north, below 360."""

    latitude_deg: float
    longitude_deg: float
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None

    @property
    def point(self) -> Point:
        """The position alone."""
        return Point(self.latitude_deg, self.longitude_deg)


@dataclass(frozen=True)
class ServingCell:
    """A cell, by its full name, that something which knows better than we do reports."""

    cell: str


Sighting = Fix | ServingCell


class PositionSource(Protocol):
    """Knows where the observer is. Asked by the radio side for each block, so it answers at once."""

    @property
    def description(self) -> str:
        """What it is, in words."""

    def at(self, stream_s: float) -> Sighting | None:
        """Return what is known at a moment of the stream, in seconds from its start; None while nothing is known."""

    def close(self) -> None:
        """Let go of what it holds."""
