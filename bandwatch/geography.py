"""Distances and directions between places on the Earth, taken as a sphere."""

from math import asin, atan2, cos, degrees, radians, sin, sqrt
from typing import Final, NamedTuple

EARTH_RADIUS_M: Final = 6_371_008.8
"""Mean radius. A sphere is wrong by half a percent at most, less than anybody knows of where a cell ends."""


class Point(NamedTuple):
    """A place on the ground."""

    latitude_deg: float
    longitude_deg: float


def distance_m(a: Point, b: Point) -> float:
    """Return the length of the shortest way over the ground (haversine)."""
    north = sin(radians(b.latitude_deg - a.latitude_deg) / 2)
    east = sin(radians(b.longitude_deg - a.longitude_deg) / 2)
    square = north**2 + cos(radians(a.latitude_deg)) * cos(radians(b.latitude_deg)) * east**2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(square)))


def bearing_deg(a: Point, b: Point) -> float:
    """Return the direction in which the shortest way from a to b begins, clockwise from north, from 0 to under 360."""
    south, north = radians(a.latitude_deg), radians(b.latitude_deg)
    east = radians(b.longitude_deg - a.longitude_deg)
    x = sin(east) * cos(north)
    y = cos(south) * sin(north) - sin(south) * cos(north) * cos(east)
    return degrees(atan2(x, y)) % 360 % 360  # a tiny negative angle rounds to 360 the first time


def between(a: Point, b: Point, share: float) -> Point:
    """Return the place that lies so far on the way from a to b, for ways of some kilometres."""
    east = (b.longitude_deg - a.longitude_deg + 180) % 360 - 180
    longitude_deg = (a.longitude_deg + share * east + 180) % 360 - 180
    return Point(a.latitude_deg + share * (b.latitude_deg - a.latitude_deg), longitude_deg)
