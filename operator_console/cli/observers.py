"""bandwatch observers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bandwatch.errors import AlreadyExistsError, PermissionDeniedError
from bandwatch.wire.v1.spectrum_pb2 import Mobility
from operator_console.cli.arguments import (
    DEFAULT_LIMIT,
    CellFilter,
    CellName,
    Limit,
    MobilityWord,
    ObserverId,
    ObserverName,
    OptionalCellName,
    OptionalMobilityWord,
    OptionalTitle,
    Title,
    TrainingTarget,
)
from operator_console.cli.session import open_session
from operator_console.cli.texts import number
from operator_console.cli.views import OBSERVER

app = typer.Typer(no_args_is_help=True, help="Receivers and their agents.")


@app.command("create")
def create_observer(
    ctx: typer.Context,
    observer_id: ObserverId,
    cell: CellName,
    mobility: MobilityWord,
    title: Title = "",
    training_target: TrainingTarget = None,
    token_out: Annotated[
        Path | None, typer.Option(help="New file for the token; without it the token is printed.")
    ] = None,
) -> None:
    """Register an observer. Its token is given this once: hand it to the agent.

    Example: bandwatch observers create roof-1 --cell oak-street --mobility static --token-out roof-1.token
    """
    with open_session(ctx) as session, _place_for_token(token_out) as keep:
        observer, token = session.client.create_observer(
            observer_id,
            cell=cell,
            mobility=number(Mobility, mobility),
            title=title,
            training_target=training_target,
        )
        session.output.one(OBSERVER, observer, **keep(token))


@app.command("get")
def get_observer(ctx: typer.Context, observer: ObserverName) -> None:
    """Show an observer with what it should run and what it says it runs."""
    with open_session(ctx) as session:
        session.output.one(OBSERVER, session.client.get_observer(observer))


@app.command("list")
def list_observers(ctx: typer.Context, cell: CellFilter = "", limit: Limit = DEFAULT_LIMIT) -> None:
    """List observers by name."""
    with open_session(ctx) as session:
        session.output.many(OBSERVER, session.client.list_observers(cell=cell), limit)


@app.command("update")
def update_observer(
    ctx: typer.Context,
    observer: ObserverName,
    cell: OptionalCellName = None,
    mobility: OptionalMobilityWord = None,
    title: OptionalTitle = None,
    training_target: TrainingTarget = None,
) -> None:
    """Change the given fields of an observer, and leave the rest.

    Example: bandwatch observers update van-7 --cell elm-road
    """
    if (cell, mobility, title, training_target) == (None, None, None, None):
        raise typer.BadParameter("give at least one of --cell, --mobility, --title, --training-target")
    with open_session(ctx) as session:
        changed = session.client.update_observer(
            observer,
            cell=cell,
            mobility=number(Mobility, mobility) if mobility else None,
            title=title,
            training_target=training_target,
        )
        session.output.one(OBSERVER, changed)


@contextmanager
def _place_for_token(file: Path | None) -> Iterator[Callable[[str], dict[str, str]]]:
    """Give a function that keeps a token and says where. The file is made first: a token without a place is lost."""
    if file is None:
        yield lambda token: {"token": token}
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise AlreadyExistsError(f"{file} exists already; choose another file for the token") from error
    except OSError as error:
        raise PermissionDeniedError(f"{file} cannot be made for the token: {error.strerror}") from error

    def keep(token: str) -> dict[str, str]:
        os.write(descriptor, token.encode())
        return {"token_file": str(file)}

    try:
        yield keep
    except BaseException:
        if not os.fstat(descriptor).st_size:
            file.unlink()
        raise
    finally:
        os.close(descriptor)
