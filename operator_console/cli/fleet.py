"""bandwatch fleet."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from operator_console.cli.arguments import DEFAULT_LIMIT, CellFilter, Limit
from operator_console.cli.session import open_session
from operator_console.cli.views_fleet import differences, fleet_view

app = typer.Typer(no_args_is_help=True, help="All observers together.")


@app.callback()
def fleet() -> None:
    """Keep `status` a command of its own, although it is the only one."""


@app.command("status")
def show_status(
    ctx: typer.Context,
    *,
    cell: CellFilter = "",
    differing: Annotated[
        bool, typer.Option("--differing", help="Only those that are not what they are to be.")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """Show what each observer is to run, what it says that it runs, what differs, and since when.

    Example: bandwatch fleet status --differing
    """
    now = datetime.now(UTC)
    with open_session(ctx) as session:
        observers = list(session.client.list_observers(cell=cell))
        wanted = {observer.desired_serial for observer in observers if observer.desired_serial}
        releases = {serial: session.client.get_release(f"releases/{serial}") for serial in wanted}
        shown = [observer for observer in observers if not differing or differences(observer, now)]
        session.output.many(fleet_view(releases, now), shown, limit)
