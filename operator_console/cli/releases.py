"""bandwatch releases."""

import typer

from operator_console.cli.arguments import DEFAULT_LIMIT, CellFilter, Limit, ModelName
from operator_console.cli.session import open_session
from operator_console.cli.views import RELEASE

app = typer.Typer(no_args_is_help=True, help="Signed decisions that a model is to run.")


@app.command("create")
def create_release(
    ctx: typer.Context,
    model: ModelName,
) -> None:
    """Sign a model and send it to every observer of its cell, or of its band for a teacher.

    To go back to an earlier model, release that one again: it gets a new serial.

    Example: bandwatch releases create m-0a1b2c3d4e5f6071
    """
    with open_session(ctx) as session:
        session.output.one(RELEASE, session.client.create_release(model))


@app.command("list")
def list_releases(ctx: typer.Context, cell: CellFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List releases, newest first."""
    with open_session(ctx) as session:
        session.output.many(RELEASE, session.client.list_releases(cell=cell), limit)
