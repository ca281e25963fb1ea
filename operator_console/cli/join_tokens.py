"""bandwatch join-tokens."""

from datetime import timedelta
from typing import Annotated, Literal

import typer

from bandwatch import names
from bandwatch.wire.v1.authority_pb2 import Role
from operator_console.cli.arguments import DEFAULT_LIMIT, Limit, OptionalCellName, name_in, parse_span
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.token_places import TokenOut, place_for_token
from operator_console.cli.views_identities import JOIN_TOKEN

app = typer.Typer(no_args_is_help=True, help="One-time permissions to enrol an observer or a worker.")


@app.command("create")
def create_join_token(
    ctx: typer.Context,
    role: Annotated[Literal["observer", "worker"], typer.Option(help="What the newcomer will be.")],
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Full name that it is for, such as observers/roof-1; else any free one.")
    ] = "",
    cell: OptionalCellName = None,
    lifetime: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_span, metavar="SPAN", help="How long it may be used, such as 1h; a day if not given."
        ),
    ] = None,
    token_out: TokenOut = None,
    *,
    trusted: Annotated[bool, typer.Option("--trusted", help="Data of the new observer may train at once.")] = False,
) -> None:
    """Make a join token. It is given this once. An observer that is not registered yet needs a cell.

    Example: bandwatch join-tokens create --role worker --name workers/gpu-1 --token-out gpu-1.token
    """
    with open_session(ctx) as session, place_for_token(token_out) as keep:
        token, text = session.client.create_join_token(
            number(Role, role), member=name, cell=cell or "", trusted=trusted, lifetime=lifetime
        )
        session.output.one(JOIN_TOKEN, token, **keep(text))


@app.command("list")
def list_join_tokens(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List join tokens, newest first."""
    with open_session(ctx) as session:
        session.output.many(JOIN_TOKEN, session.client.list_join_tokens(), limit)


@app.command("delete")
def delete_join_token(
    ctx: typer.Context,
    join_token: Annotated[
        str, typer.Argument(metavar="TOKEN", parser=name_in(names.join_tokens), help="Identifier or full name.")
    ],
) -> None:
    """Delete a join token that nobody is to use any more.

    Example: bandwatch join-tokens delete joinTokens/1f0c9a2b3d4e
    """
    with open_session(ctx) as session:
        session.client.delete_join_token(join_token)
        session.output.line(f"{join_token} is deleted.")
