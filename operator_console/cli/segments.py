"""bandwatch segments."""

from typing import Annotated, Literal

import typer

from bandwatch.wire.v1.spectrum_pb2 import Purpose
from operator_console.cli.arguments import DEFAULT_LIMIT, CellFilter, Limit, ObserverFilter
from operator_console.cli.session import open_session
from operator_console.cli.texts import number, span
from operator_console.cli.views import SEGMENT

app = typer.Typer(no_args_is_help=True, help="Contiguous frames that observers uploaded.")


@app.command("list")
def list_segments(
    ctx: typer.Context,
    cell: CellFilter = "",
    observer: ObserverFilter = "",
    purpose: Annotated[
        Literal["evidence", "training", "routine"] | None, typer.Option(help="Only those uploaded for this.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List segments by observer and sequence, and how much time all of them cover.

    Example: bandwatch segments list --cell oak-street --purpose training --limit 10
    """
    with open_session(ctx) as session:
        kind = number(Purpose, purpose)
        session.output.many(SEGMENT, session.client.list_segments(cell=cell, observer=observer, purpose=kind), limit)
        totals = session.client.segment_totals(cell=cell, observer=observer, purpose=kind)
        session.output.line(f"{totals.segments} segments, {span(totals.span)} in all")
