"""bandwatch bands."""

from typing import Annotated, Literal

import typer

from bandwatch.wire.v1.spectrum_pb2 import LinkDirection
from operator_console.cli.arguments import DEFAULT_LIMIT, BandId, Limit, Title
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.views import BAND

app = typer.Typer(no_args_is_help=True, help="Slices of spectrum that observers watch.")


@app.command("create")
def create_band(
    ctx: typer.Context,
    band_id: BandId,
    center_mhz: Annotated[float, typer.Option(help="Centre frequency.")],
    width_mhz: Annotated[float, typer.Option(help="Watched width.")] = 5.0,
    direction: Annotated[Literal["downlink", "uplink"], typer.Option(help="Who sends.")] = "downlink",
    title: Title = "",
) -> None:
    """Register a band.

    Example: bandwatch bands create b5 --center-mhz 881.5 --title "Cellular 850"
    """
    with open_session(ctx) as session:
        band = session.client.create_band(
            band_id,
            center_hz=round(center_mhz * 1e6),
            width_hz=round(width_mhz * 1e6),
            title=title,
            direction=number(LinkDirection, direction),
        )
        session.output.one(BAND, band)


@app.command("list")
def list_bands(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List bands by name."""
    with open_session(ctx) as session:
        session.output.many(BAND, session.client.list_bands(), limit)
