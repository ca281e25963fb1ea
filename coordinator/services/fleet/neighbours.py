"""Where an observer that moves may come to: other cells with a place, nearest first, and what it is to run there."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.geography import Point
from coordinator.registry.entities import Band, Cell, Mobility, Observer, Release
from coordinator.services.releasing import rollouts

LIMIT: Final = 16
"""Cells that one observer is told of, at most: what it may come to before it asks again, in any direction."""


@dataclass(frozen=True)
class Neighbour:
    """A cell that an observer may come to, the release that serves it there, and the rung below."""

    cell: Cell
    band: Band
    release: Release | None
    teacher: Release | None


async def list_neighbours(session: AsyncSession, observer: Observer, home: Cell) -> list[Neighbour]:
    """Return the cells around an observer that moves, apart from its own; none for one that stays."""
    if observer.mobility is Mobility.STATIC:
        return []
    placed = select(Cell, Band).join(Band, Band.id == Cell.band_id).where(Cell.radius_m.is_not(None))
    start = await _whereabouts(session, observer, home)
    order = [] if start is None else [_square_of_half_angle(start)]
    found = (await session.execute(placed.where(Cell.id != home.id).order_by(*order, Cell.id).limit(LIMIT))).all()
    posts = [rollouts.Post(observer.id, band.id, cell.id) for cell, band in found]
    assigned = await rollouts.assigned_each(session, posts)
    return [
        Neighbour(cell, band, assigned[post].release, assigned[post].teacher)
        for post, (cell, band) in zip(posts, found, strict=True)
    ]


async def _whereabouts(session: AsyncSession, observer: Observer, home: Cell) -> Point | None:
    """Return where an observer said that it is, else the middle of the cell where it is, else of its own."""
    reported = observer.reported or {}
    position = reported.get("position")
    if position is not None:
        return Point(float(position.get("latitude_deg", 0.0)), float(position.get("longitude_deg", 0.0)))
    present = None
    if reported.get("cell"):
        present = await session.get(Cell, names.cells.id(reported["cell"]))
    return _middle(present) or _middle(home)


def _middle(cell: Cell | None) -> Point | None:
    if cell is None or cell.latitude_deg is None or cell.longitude_deg is None:
        return None
    return Point(cell.latitude_deg, cell.longitude_deg)


def _square_of_half_angle(start: Point) -> ColumnElement[float]:
    """Return what rises with the distance over the ground (haversine), of a cell's middle."""
    north = func.sin(func.radians(Cell.latitude_deg - start.latitude_deg) / 2)
    east = func.sin(func.radians(Cell.longitude_deg - start.longitude_deg) / 2)
    shrink = func.cos(func.radians(start.latitude_deg)) * func.cos(func.radians(Cell.latitude_deg))
    square: ColumnElement[float] = north * north + shrink * east * east
    return square
