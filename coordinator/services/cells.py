"""The registries of bands and cells."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from coordinator.registry.entities import Band, Cell, LinkDirection
from coordinator.services.paging import Page, PageRequest, read_page


class Place(NamedTuple):
    """Where a cell serves: its middle and its reach."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float


async def create_band(
    session: AsyncSession, *, band_id: str, title: str, center_hz: float, width_hz: float, direction: LinkDirection
) -> Band:
    """Register a band.

    Raises:
        AlreadyExistsError: A band of that name exists.
    """
    name = names.bands.name(band_id)
    if await session.get(Band, band_id):
        raise AlreadyExistsError(f"{name} exists already; choose another identifier")
    band = Band(id=band_id, title=title, center_hz=center_hz, width_hz=width_hz, direction=direction)
    session.add(band)
    await session.flush()
    await session.refresh(band)
    return band


async def list_bands(session: AsyncSession, page: PageRequest) -> Page[Band]:
    """List bands by name."""
    return await read_page(session, select(Band), [Band.id], page)


async def get_band(session: AsyncSession, band_id: str) -> Band:
    """Read a band.

    Raises:
        NotFoundError: There is none of that name.
    """
    band = await session.get(Band, band_id)
    if band is None:
        raise NotFoundError(f"{names.bands.name(band_id)} is not registered; create it first")
    return band


async def create_cell(
    session: AsyncSession, *, cell_id: str, title: str, band_id: str, place: Place | None = None
) -> Cell:
    """Register a cell on a band.

    Raises:
        AlreadyExistsError: A cell of that name exists.
        FailedPreconditionError: The band is not registered.
    """
    name = names.cells.name(cell_id)
    if await session.get(Band, band_id) is None:
        raise FailedPreconditionError(f"{names.bands.name(band_id)} is not registered; create it before its cells")
    if await session.get(Cell, cell_id):
        raise AlreadyExistsError(f"{name} exists already; choose another identifier")
    cell = Cell(id=cell_id, title=title, band_id=band_id, **(place._asdict() if place else {}))
    session.add(cell)
    await session.flush()
    await session.refresh(cell)
    return cell


async def change_cell(session: AsyncSession, *, cell_id: str, title: str, band_id: str, place: Place | None) -> Cell:
    """Replace a cell's title and place.

    Raises:
        NotFoundError: There is none of that name.
        FailedPreconditionError: It lies on another band, which cannot change: its models and data belong to that band.
    """
    cell = await get_cell(session, cell_id)
    if cell.band_id != band_id:
        raise FailedPreconditionError(
            f"{names.cells.name(cell_id)} lies on {names.bands.name(cell.band_id)} and stays there; "
            "create another cell on the other band"
        )
    cell.title = title
    cell.latitude_deg, cell.longitude_deg, cell.radius_m = place or (None, None, None)
    await session.flush()
    return cell


async def list_cells(session: AsyncSession, page: PageRequest, *, band_id: str | None) -> Page[Cell]:
    """List cells by name, of one band or of all."""
    query = select(Cell)
    if band_id:
        query = query.where(Cell.band_id == band_id)
    return await read_page(session, query, [Cell.id], page)


async def get_cell(session: AsyncSession, cell_id: str) -> Cell:
    """Read a cell.

    Raises:
        NotFoundError: There is none of that name.
    """
    cell = await session.get(Cell, cell_id)
    if cell is None:
        raise NotFoundError(f"{names.cells.name(cell_id)} is not registered; create it first")
    return cell
