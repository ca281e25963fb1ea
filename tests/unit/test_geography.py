"""Distances and directions on the ground."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.geography import EARTH_RADIUS_M, Point, bearing_deg, between, distance_m

POINTS = st.builds(Point, st.floats(-85, 85), st.floats(-180, 180))


def by_vectors(a: Point, b: Point) -> float:
    """Return the distance by the angle between two vectors from the middle of the Earth."""

    def vector(point: Point) -> tuple[float, float, float]:
        up, east = math.radians(point.latitude_deg), math.radians(point.longitude_deg)
        return math.cos(up) * math.cos(east), math.cos(up) * math.sin(east), math.sin(up)

    (ax, ay, az), (bx, by, bz) = vector(a), vector(b)
    cross = math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return EARTH_RADIUS_M * math.atan2(cross, ax * bx + ay * by + az * bz)


@given(POINTS, POINTS)
def test_the_haversine_distance_is_that_of_vectors(a: Point, b: Point) -> None:
    assert distance_m(a, b) == pytest.approx(by_vectors(a, b), rel=1e-6, abs=0.5)


@given(POINTS, POINTS)
def test_a_way_is_as_long_as_the_way_back(a: Point, b: Point) -> None:
    assert distance_m(a, b) == pytest.approx(distance_m(b, a), rel=1e-12, abs=1e-6)


def test_a_degree_of_latitude_is_sixty_sea_miles() -> None:
    assert distance_m(Point(52, 13), Point(53, 13)) == pytest.approx(60 * 1852, rel=0.002)


@given(POINTS, POINTS)
def test_a_bearing_is_from_0_to_under_360(a: Point, b: Point) -> None:
    assert 0 <= bearing_deg(a, b) < 360


@pytest.mark.parametrize(
    ("to", "bearing"),
    [(Point(52.1, 13), 0), (Point(52, 13.1), 90), (Point(51.9, 13), 180), (Point(52, 12.9), 270)],
)
def test_bearings_are_clockwise_from_north(to: Point, bearing: float) -> None:
    assert bearing_deg(Point(52, 13), to) == pytest.approx(bearing, abs=0.1)


@given(st.floats(-60, 60), st.floats(-180, 180), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05), st.floats(0, 1))
def test_a_place_on_the_way_divides_it_in_its_share(
    north: float, east: float, up: float, right: float, share: float
) -> None:
    a, b = Point(north, east), Point(north + up, (east + right + 180) % 360 - 180)
    here = between(a, b, share)
    assert distance_m(a, here) == pytest.approx(share * distance_m(a, b), rel=0.01, abs=1.0)
    assert distance_m(here, b) == pytest.approx((1 - share) * distance_m(a, b), rel=0.01, abs=1.0)
