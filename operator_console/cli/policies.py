"""bandwatch policies."""

from datetime import timedelta
from typing import Annotated, Final

import typer

from bandwatch import names
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1.policy_pb2 import Policy
from operator_console.cli.arguments import DEFAULT_LIMIT, Limit, id_in, name_in, parse_span
from operator_console.cli.session import open_session
from operator_console.cli.views_policies import POLICY

app = typer.Typer(no_args_is_help=True, help="What the schedule does by itself: students made and refitted.")

PolicyId = Annotated[str, typer.Argument(metavar="POLICY", parser=id_in(names.policies), help="Identifier.")]
PolicyName = Annotated[
    str, typer.Argument(metavar="POLICY", parser=name_in(names.policies), help="Identifier or full name.")
]
_MOST_LIFETIME_DAYS: Final = 365


@app.command("create")
def create_policy(
    ctx: typer.Context,
    policy_id: PolicyId,
    *,
    band: Annotated[
        str, typer.Option(parser=name_in(names.bands), metavar="BAND", help="For every cell of this band.")
    ] = "",
    cell: Annotated[
        str, typer.Option(parser=name_in(names.cells), metavar="CELL", help="For this cell; comes before its band's.")
    ] = "",
    student_data: Annotated[
        timedelta | None,
        typer.Option(parser=parse_span, metavar="SPAN", help="Clean data that a student needs; 5m if not given."),
    ] = None,
    lifetime_days: Annotated[
        float | None,
        typer.Option(min=0.001, max=_MOST_LIFETIME_DAYS, help="Refit a student that is older; never if not given."),
    ] = None,
    refit_on_drift: Annotated[
        bool, typer.Option("--refit-on-drift/--leave-drifted", help="Refit a student whose error or rate drifted.")
    ] = True,
    frozen_layers: Annotated[
        int, typer.Option(min=0, max=64, help="Layers, counted from the input, that keep the teacher's weights.")
    ] = 2,
    max_epochs: Annotated[int, typer.Option(min=1, max=10_000, help="Passes over the data at most.")] = 30,
    stride_frames: Annotated[
        int, typer.Option(min=1, max=1000, help="Frames between the starts of training windows.")
    ] = 25,
    at_once: Annotated[bool, typer.Option("--at-once", help="Put students in force without shadow or canary.")] = False,
    disabled: Annotated[bool, typer.Option("--disabled", help="Keep the policy, but do nothing by it.")] = False,
) -> None:
    """Make a policy, or replace the one of that name.

    Example: bandwatch policies create usual --band b5 --lifetime-days 30
    """
    if bool(band) == bool(cell):
        raise typer.BadParameter("give either --band or --cell")
    policy = Policy(
        target=band or cell,
        enabled=not disabled,
        refit_on_drift=refit_on_drift,
        frozen_layers=frozen_layers,
        max_epochs=max_epochs,
        stride_frames=stride_frames,
    )
    if student_data is not None:
        policy.student_data.CopyFrom(to_duration_message(student_data))
    if lifetime_days is not None:
        policy.student_lifetime.CopyFrom(to_duration_message(timedelta(days=lifetime_days)))
    if at_once:
        policy.plan.at_once = True
    with open_session(ctx) as session:
        session.output.one(POLICY, session.client.create_policy(policy_id, policy))


@app.command("list")
def list_policies(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List policies by name, with what each last did or waits for."""
    with open_session(ctx) as session:
        session.output.many(POLICY, session.client.list_policies(), limit)


@app.command("delete")
def delete_policy(ctx: typer.Context, policy: PolicyName) -> None:
    """Delete a policy. What it ordered goes on."""
    with open_session(ctx) as session:
        session.client.delete_policy(policy)
        session.output.line(f"{policy} is deleted")
