"""bandwatch releases."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1.model_pb2 import RolloutPlan
from operator_console.cli.arguments import DEFAULT_LIMIT, CellFilter, Limit, ModelName, parse_span
from operator_console.cli.session import open_session
from operator_console.cli.views import RELEASE

app = typer.Typer(no_args_is_help=True, help="Signed decisions that a model is to run.")


def _release_name(text: str) -> str:
    number = text.removeprefix("releases/")
    if not re.fullmatch(r"[0-9]{1,18}", number):
        raise typer.BadParameter(f"{text!r} is no release; write its number, such as 12 or releases/12")
    return f"releases/{number}"


ReleaseName = Annotated[str, typer.Argument(metavar="RELEASE", parser=_release_name, help="Number or full name.")]


@app.command("create")
def create_release(
    ctx: typer.Context,
    model: ModelName,
    *,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Send it to every observer at once, past all gates.")
    ] = False,
    shadow: Annotated[bool, typer.Option("--shadow", help="Run it beside the active release first.")] = False,
    canary_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the observers that run it first; 0 takes the usual one.")
    ] = 0.0,
    minimum_windows: Annotated[
        int, typer.Option(min=0, max=100_000_000, help="Windows that must be reported; 0 takes the usual number.")
    ] = 0,
    minimum_time: Annotated[
        timedelta | None, typer.Option(parser=parse_span, metavar="SPAN", help="Least time in each stage.")
    ] = None,
    deadline: Annotated[
        timedelta | None,
        typer.Option(parser=parse_span, metavar="SPAN", help="Time in one stage after which it is taken back."),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--global", help="Release a teacher for every band that has none of its own.")
    ] = False,
) -> None:
    """Sign a model and send it on its way to the observers of its cell, or of its band for a teacher.

    Unless it goes at once, a share of the observers tries it first, and it is taken back by itself where it fails.
    To go back to an earlier model, take back the release that is in force, or release that model again.

    Example: bandwatch releases create m-0a1b2c3d4e5f6071 --shadow --canary-share 0.1
    """
    plan = RolloutPlan(
        at_once=at_once,
        shadow=shadow,
        canary_share=canary_share,
        minimum_windows=minimum_windows,
        minimum_time=to_duration_message(minimum_time) if minimum_time else None,
        deadline=to_duration_message(deadline) if deadline else None,
    )
    with open_session(ctx) as session:
        session.output.one(RELEASE, session.client.create_release(model, plan, everywhere=everywhere))


@app.command("list")
def list_releases(ctx: typer.Context, cell: CellFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List releases, newest first."""
    with open_session(ctx) as session:
        session.output.many(RELEASE, session.client.list_releases(cell=cell), limit)


@app.command("get")
def get_release(ctx: typer.Context, release: ReleaseName) -> None:
    """Show a release with its plan and what observers reported of it.

    Example: bandwatch releases get 12
    """
    with open_session(ctx) as session:
        session.output.one(RELEASE, session.client.get_release(release))


@app.command("promote")
def promote_release(ctx: typer.Context, release: ReleaseName) -> None:
    """Put a release that is on its way in force for all, whatever its gates say.

    Example: bandwatch releases promote 12
    """
    with open_session(ctx) as session:
        session.output.one(RELEASE, session.client.promote_release(release))


@app.command("rollback")
def roll_back_release(
    ctx: typer.Context,
    release: ReleaseName,
    reason: Annotated[str, typer.Option(help="Why, for the log.")] = "",
) -> None:
    """Take a release back. Where it was in force, the model that was before it is released again.

    Example: bandwatch releases rollback 12 --reason "too many alarms"
    """
    with open_session(ctx) as session:
        fallen, instead = session.client.roll_back_release(release, reason)
        session.output.one(RELEASE, fallen, instead=instead.name if instead else "nothing")
