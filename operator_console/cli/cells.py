"""bandwatch cells."""

import typer

from operator_console.cli.arguments import DEFAULT_LIMIT, BandFilter, BandName, CellId, Limit, Title
from operator_console.cli.session import open_session
from operator_console.cli.views import CELL

app = typer.Typer(no_args_is_help=True, help="LTE cells, each on one band.")


@app.command("create")
def create_cell(
    ctx: typer.Context,
    cell_id: CellId,
    band: BandName,
    title: Title = "",
) -> None:
    """Register a cell on a band.

    Example: bandwatch cells create oak-street --band b5
    """
    with open_session(ctx) as session:
        session.output.one(CELL, session.client.create_cell(cell_id, band=band, title=title))


@app.command("list")
def list_cells(ctx: typer.Context, band: BandFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List cells by name."""
    with open_session(ctx) as session:
        session.output.many(CELL, session.client.list_cells(band=band), limit)
