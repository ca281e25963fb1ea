"""Which cell serves a position, with hysteresis at the border, and which cells lie ahead. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from bandwatch.geography import Point, bearing_deg, distance_m
from observer_agent.places.positions import Fix

_LEAST_WAY_M: Final = 5.0
"""Positions closer than this say nothing of the direction: the receiver may stand still and its fixes wander."""


class Place(BaseModel):
    """Where a cell serves: its middle and its reach."""

    model_config = ConfigDict(frozen=True)

    latitude_deg: Annotated[float, Field(ge=-90, le=90)]
    longitude_deg: Annotated[float, Field(ge=-180, le=180)]
    radius_m: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    def distance_m(self, fix: Fix) -> float:
        """Return how far a position is from the middle."""
        return distance_m(Point(self.latitude_deg, self.longitude_deg), fix.point)


@dataclass(frozen=True)
class Border:
    """How much nearer another cell must be, and for how long, before it is the observer's."""

    margin_m: float
    time_s: float


@dataclass(frozen=True)
class Whereabouts:
    """The cell that the observer is in, None outside of all; `towards` is where it has seemed to be since `since_s`."""

    cell: str | None
    towards: str | None = None
    since_s: float | None = None


def nearest_cell(places: Mapping[str, Place], fix: Fix) -> str | None:
    """Return the cell whose middle is nearest, of those that reach the position; of equal ones the first by name."""
    reached = [(place.distance_m(fix), cell) for cell, place in places.items()]
    return min(((far, cell) for far, cell in reached if far <= places[cell].radius_m), default=(0.0, None))[1]


def follow(
    before: Whereabouts | None, places: Mapping[str, Place], fix: Fix, now_s: float, border: Border
) -> Whereabouts:
    """Return where the observer is, given where it was. The first position decides at once, later ones at leisure."""
    if before is None:
        return Whereabouts(nearest_cell(places, fix))
    wanted = _wanted(before.cell, places, fix, max(border.margin_m, fix.accuracy_m or 0.0))
    if wanted == before.cell:
        return Whereabouts(before.cell)
    since_s = before.since_s if before.since_s is not None and before.towards == wanted else now_s
    if now_s - since_s >= border.time_s:
        return Whereabouts(wanted)
    return Whereabouts(before.cell, wanted, since_s)


def _wanted(cell: str | None, places: Mapping[str, Place], fix: Fix, margin_m: float) -> str | None:
    """Return the cell that the position speaks for, in favour of the present one."""
    nearest = nearest_cell(places, fix)
    if cell is None or cell not in places or nearest == cell:
        return nearest
    own_m = places[cell].distance_m(fix)
    if own_m > places[cell].radius_m + margin_m:
        return nearest
    if nearest is None or own_m - places[nearest].distance_m(fix) < margin_m:
        return cell
    return nearest


def heading_deg(before: Fix | None, fix: Fix) -> float | None:
    """Return where the observer heads: as reported, else from the position before; None where nothing tells."""
    if fix.heading_deg is not None or before is None:
        return fix.heading_deg
    if distance_m(before.point, fix.point) < _LEAST_WAY_M:
        return None
    return bearing_deg(before.point, fix.point)


def order_ahead(places: Mapping[str, Place], fix: Fix, heading: float | None) -> list[str]:
    """Return cells in the order in which the observer may come to them: a way back counts three times."""

    def effort(cell: str) -> tuple[float, str]:
        place = places[cell]
        far_m = place.distance_m(fix)
        if heading is None:
            return far_m, cell
        aside = math.radians(bearing_deg(fix.point, Point(place.latitude_deg, place.longitude_deg)) - heading)
        return far_m * (2 - math.cos(aside)), cell

    return sorted(places, key=effort)
