"""bandwatch models."""

import typer

from operator_console.cli.arguments import DEFAULT_LIMIT, BandFilter, CellFilter, Limit, ModelName
from operator_console.cli.session import open_session
from operator_console.cli.views import MODEL

app = typer.Typer(no_args_is_help=True, help="Teachers and students that training runs made.")


@app.command("get")
def get_model(
    ctx: typer.Context,
    model: ModelName,
) -> None:
    """Show a model with its errors, its scores and their thresholds, and why it was chosen."""
    with open_session(ctx) as session:
        session.output.one(MODEL, session.client.get_model(model))


@app.command("list")
def list_models(ctx: typer.Context, band: BandFilter = "", cell: CellFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List models, newest first."""
    with open_session(ctx) as session:
        session.output.many(MODEL, session.client.list_models(band=band, cell=cell), limit)
