"""bandwatch certificates, bandwatch workers, bandwatch audit."""

from typing import Annotated

import typer

from bandwatch import names
from operator_console.cli.arguments import DEFAULT_LIMIT, Limit, name_in
from operator_console.cli.session import open_session
from operator_console.cli.views_identities import AUDIT_ENTRY, CERTIFICATE

certificates = typer.Typer(no_args_is_help=True, help="What observers and workers prove themselves by.")
workers = typer.Typer(no_args_is_help=True, help="Training workers.")
audit = typer.Typer(no_args_is_help=True, help="Who changed what, and what was refused.")


@certificates.command("list")
def list_certificates(
    ctx: typer.Context,
    member: Annotated[
        str, typer.Option(metavar="NAME", help="Only those of this member, such as observers/roof-1.")
    ] = "",
    limit: Limit = DEFAULT_LIMIT,
) -> None:
    """List certificates, newest first."""
    with open_session(ctx) as session:
        session.output.many(CERTIFICATE, session.client.list_certificates(member=member), limit)


@workers.command("revoke")
def revoke_worker(
    ctx: typer.Context,
    worker: Annotated[
        str, typer.Argument(metavar="WORKER", parser=name_in(names.workers), help="Identifier or full name.")
    ],
) -> None:
    """Shut a worker out: its certificates are worth nothing from now on.

    Example: bandwatch workers revoke gpu-1
    """
    with open_session(ctx) as session:
        session.client.revoke_worker(worker)
        session.output.line(f"{worker} is shut out.")


@audit.command("list")
def list_audit_entries(
    ctx: typer.Context,
    actor: Annotated[str, typer.Option(metavar="NAME", help="Only what this one did, such as operators/alice.")] = "",
    subject: Annotated[
        str, typer.Option(metavar="THING", help='Only changes of this thing, such as "observers roof-1".')
    ] = "",
    limit: Limit = DEFAULT_LIMIT,
    *,
    refusals: Annotated[bool, typer.Option("--refusals", help="Only calls that were refused.")] = False,
) -> None:
    """List changes with what was before and after, and refused calls, newest first.

    Example: bandwatch audit list --refusals
    """
    with open_session(ctx) as session:
        found = session.client.list_audit_entries(actor=actor, subject=subject, refusals_only=refusals)
        session.output.many(AUDIT_ENTRY, found, limit)
