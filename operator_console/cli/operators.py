"""bandwatch operators."""

from typing import Annotated, Literal

import typer

from bandwatch import names
from bandwatch.wire.v1.authority_pb2 import Role
from operator_console.cli.arguments import DEFAULT_LIMIT, Limit, id_in, name_in
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.token_places import TokenOut, place_for_token
from operator_console.cli.views_identities import OPERATOR

app = typer.Typer(no_args_is_help=True, help="Who administers the platform.")


@app.command("create")
def create_operator(
    ctx: typer.Context,
    operator_id: Annotated[
        str, typer.Argument(metavar="OPERATOR", parser=id_in(names.operators), help="New identifier.")
    ],
    role: Annotated[
        Literal["viewer", "operator", "admin"], typer.Option(help="What it may do; each includes those before.")
    ],
    token_out: TokenOut = None,
) -> None:
    """Make an operator. Its token is given this once.

    Example: bandwatch operators create alice --role operator --token-out alice.token
    """
    with open_session(ctx) as session, place_for_token(token_out) as keep:
        operator, token = session.client.create_operator(operator_id, number(Role, role))
        session.output.one(OPERATOR, operator, **keep(token))


@app.command("list")
def list_operators(ctx: typer.Context, limit: Limit = DEFAULT_LIMIT) -> None:
    """List operators by name."""
    with open_session(ctx) as session:
        session.output.many(OPERATOR, session.client.list_operators(), limit)


@app.command("delete")
def delete_operator(
    ctx: typer.Context,
    operator: Annotated[
        str, typer.Argument(metavar="OPERATOR", parser=name_in(names.operators), help="Identifier or full name.")
    ],
) -> None:
    """Delete an operator: its token is worth nothing from now on.

    Example: bandwatch operators delete alice
    """
    with open_session(ctx) as session:
        session.client.delete_operator(operator)
        session.output.line(f"{operator} is deleted.")
