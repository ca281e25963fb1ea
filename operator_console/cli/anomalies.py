"""bandwatch anomalies."""

import typer

from operator_console.cli.arguments import DEFAULT_LIMIT, CellFilter, Limit, ObserverFilter
from operator_console.cli.session import open_session
from operator_console.cli.views import ANOMALY

app = typer.Typer(no_args_is_help=True, help="Windows that no model of normal could explain.")


@app.command("list")
def list_anomalies(
    ctx: typer.Context, cell: CellFilter = "", observer: ObserverFilter = "", limit: Limit = DEFAULT_LIMIT
) -> None:
    """List anomalies, newest window first, and how many there are.

    Example: bandwatch anomalies list --cell oak-street --limit 20
    """
    with open_session(ctx) as session:
        session.output.many(ANOMALY, session.client.list_anomalies(cell=cell, observer=observer), limit)
        session.output.line(f"{session.client.count_anomalies(cell=cell, observer=observer)} anomalies in all")
