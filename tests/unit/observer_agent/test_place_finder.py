"""In which cell an observer is, and what lies ahead of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.geography import Point, distance_m
from observer_agent.places.place_finder import (
    Border,
    Place,
    Whereabouts,
    follow,
    heading_deg,
    nearest_cell,
    order_ahead,
)
from observer_agent.places.positions import Fix

EAST_DEG_PER_M = 1 / 111_194.93
BORDER = Border(margin_m=50.0, time_s=2.0)


def at(east_m: float, *, accuracy_m: float | None = None, heading: float | None = None) -> Fix:
    """Return a position on the equator, so far east."""
    return Fix(0.0, east_m * EAST_DEG_PER_M, accuracy_m, heading_deg=heading)


def row(*middles_m: float, radius_m: float = 800.0) -> dict[str, Place]:
    """Return cells a, b, ... on the equator."""
    return {
        f"cells/{chr(97 + number)}": Place(latitude_deg=0, longitude_deg=m * EAST_DEG_PER_M, radius_m=radius_m)
        for number, m in enumerate(middles_m)
    }


@given(
    st.lists(st.tuples(st.floats(-5000, 5000), st.floats(1, 3000)), min_size=1, max_size=6),
    st.floats(-5000, 5000),
)
def test_the_nearest_middle_that_reaches_a_position_serves_it(cells: list[tuple[float, float]], east_m: float) -> None:
    places = {
        f"cells/{n}": Place(latitude_deg=0, longitude_deg=m * EAST_DEG_PER_M, radius_m=radius)
        for n, (m, radius) in enumerate(cells)
    }
    found = nearest_cell(places, at(east_m))
    far_m = {name: distance_m(Point(0, p.longitude_deg), at(east_m).point) for name, p in places.items()}
    reaching = [name for name, place in places.items() if far_m[name] <= place.radius_m]
    assert (found is None) == (not reaching)
    assert found is None or (found in reaching and far_m[found] == min(far_m[name] for name in reaching))


def test_a_position_between_two_equal_cells_belongs_to_one() -> None:
    assert nearest_cell(row(-500, 500), at(0)) == "cells/a"


def drive(places: dict[str, Place], positions: list[tuple[float, Fix]]) -> list[str | None]:
    seen, state = [], None
    for now_s, fix in positions:
        state = follow(state, places, fix, now_s, BORDER)
        seen.append(state.cell)
    return seen


def test_the_first_position_decides_at_once() -> None:
    assert follow(None, row(0, 1000), at(990), 0.0, BORDER) == Whereabouts("cells/b")


def test_another_cell_takes_over_once_it_is_nearer_by_the_margin_for_the_time() -> None:
    speed_mps, places = 10.0, row(0, 1000)
    positions = [(t / 10, at(400 + speed_mps * t / 10)) for t in range(400)]
    cells = drive(places, positions)
    change_s = positions[cells.index("cells/b")][0]
    nearer_by_margin_s = (500 + BORDER.margin_m / 2 - 400) / speed_mps
    assert change_s == pytest.approx(nearer_by_margin_s + BORDER.time_s, abs=0.11)
    assert cells == sorted(cells, key=str)


@given(st.lists(st.floats(476, 524), min_size=1, max_size=50))
def test_an_observer_that_wanders_at_the_border_stays_in_its_cell(wandering_m: list[float]) -> None:
    places = row(0, 1000)
    positions = [(0.0, at(0)), *((float(n), at(east_m)) for n, east_m in enumerate(wandering_m, 1))]
    assert set(drive(places, positions)) == {"cells/a"}


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(-200, 3200)), max_size=60))
def test_a_change_is_never_sooner_than_the_border_time_after_the_one_before(steps: list[tuple[float, float]]) -> None:
    now_s, state, changed_s = 0.0, follow(None, row(0, 1000, 2000, 3000), at(0), 0.0, BORDER), 0.0
    for wait_s, east_m in steps:
        now_s += wait_s
        later = follow(state, row(0, 1000, 2000, 3000), at(east_m), now_s, BORDER)
        if later.cell != state.cell:
            assert now_s - changed_s >= BORDER.time_s
            changed_s = now_s
        state = later


def test_a_position_as_vague_as_the_cells_are_wide_changes_nothing() -> None:
    positions = [(0.0, at(0)), *((float(n), at(900, accuracy_m=900)) for n in range(1, 20))]
    assert set(drive(row(0, 1000, radius_m=2000), positions)) == {"cells/a"}


def test_outside_of_all_cells_the_observer_is_in_none_and_comes_back() -> None:
    places = row(0, 1000)
    positions = [(0.0, at(0)), (1.0, at(-5000)), (3.5, at(-5000)), (4.0, at(100)), (6.5, at(100))]
    assert drive(places, positions) == ["cells/a", "cells/a", None, None, "cells/a"]


def test_a_cell_that_is_no_longer_known_is_left_as_any_other() -> None:
    state = follow(Whereabouts("cells/gone"), row(0), at(0), 1.0, BORDER)
    assert state.cell == "cells/gone"
    assert follow(state, row(0), at(0), 3.5, BORDER) == Whereabouts("cells/a")


def test_the_heading_is_that_of_the_receiver_else_of_the_way() -> None:
    assert heading_deg(at(0), at(100, heading=12.0)) == 12.0
    assert heading_deg(at(0), at(100)) == pytest.approx(90)
    assert heading_deg(at(0), at(1)) is None
    assert heading_deg(None, at(1)) is None


def test_what_lies_ahead_comes_before_what_is_as_near_behind() -> None:
    places = row(-1000, -300, 0, 500, 2000)
    assert order_ahead(places, at(0), None)[:2] == ["cells/c", "cells/b"]
    assert order_ahead(places, at(0), 90.0) == ["cells/c", "cells/d", "cells/b", "cells/e", "cells/a"]
    assert order_ahead(places, at(0), 270.0)[1] == "cells/b"


@given(st.floats(-3000, 3000), st.none() | st.floats(0, 359))
def test_an_order_holds_every_cell_once(east_m: float, heading: float | None) -> None:
    places = row(0, 1000, 2000, -700)
    assert sorted(order_ahead(places, at(east_m), heading)) == sorted(places)
