"""bandwatch cells."""

from typing import Annotated

import typer

from operator_console.cli.arguments import (
    DEFAULT_LIMIT,
    BandFilter,
    BandName,
    CellArgument,
    CellId,
    Limit,
    OptionalTitle,
    Title,
)
from operator_console.cli.session import open_session
from operator_console.cli.views import CELL
from operator_console.cli.views_policies import CELL_DATA
from operator_console.clients.cells import CellPlace

app = typer.Typer(no_args_is_help=True, help="LTE cells, each on one band.")

Latitude = Annotated[
    float | None, typer.Option(min=-90, max=90, metavar="DEG", help="Middle of the cell, for observers that move.")
]
Longitude = Annotated[
    float | None, typer.Option(min=-180, max=180, metavar="DEG", help="Middle of the cell, for observers that move.")
]
Radius = Annotated[
    float | None, typer.Option(min=1, max=200_000, metavar="METRES", help="How far from its middle the cell serves.")
]


@app.command("create")
def create_cell(
    ctx: typer.Context,
    cell_id: CellId,
    band: BandName,
    title: Title = "",
    latitude: Latitude = None,
    longitude: Longitude = None,
    radius: Radius = None,
) -> None:
    """Register a cell on a band.

    Example: bandwatch cells create oak-street --band b5 --latitude 52.52 --longitude 13.405 --radius 800
    """
    place = _place(latitude, longitude, radius)
    with open_session(ctx) as session:
        session.output.one(CELL, session.client.create_cell(cell_id, band=band, title=title, place=place))


@app.command("update")
def update_cell(
    ctx: typer.Context,
    cell: CellArgument,
    title: OptionalTitle = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    radius: Radius = None,
) -> None:
    """Change the title of a cell, or where it serves, and leave the rest.

    Example: bandwatch cells update oak-street --latitude 52.52 --longitude 13.405 --radius 800
    """
    place = _place(latitude, longitude, radius)
    if place is None and title is None:
        raise typer.BadParameter("give --title, or --latitude, --longitude and --radius")
    with open_session(ctx) as session:
        session.output.one(CELL, session.client.update_cell(cell, title=title, place=place))


@app.command("list")
def list_cells(ctx: typer.Context, band: BandFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List cells by name."""
    with open_session(ctx) as session:
        session.output.many(CELL, session.client.list_cells(band=band), limit)


@app.command("data")
def show_cell_data(ctx: typer.Context, cell: CellArgument) -> None:
    """Sum up what is stored of a cell, what of it may train, and why the rest may not.

    Example: bandwatch cells data oak-street
    """
    with open_session(ctx) as session:
        session.output.one(CELL_DATA, session.client.get_cell_data(cell))


def _place(latitude: float | None, longitude: float | None, radius: float | None) -> CellPlace | None:
    if latitude is None and longitude is None and radius is None:
        return None
    if latitude is None or longitude is None or radius is None:
        raise typer.BadParameter("give --latitude, --longitude and --radius together")
    return CellPlace(latitude, longitude, radius)
