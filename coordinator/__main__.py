"""The command bandwatch-coordinator."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from bandwatch.errors import BandwatchError, InvalidArgumentError
from bandwatch.logs import configure_logs

if TYPE_CHECKING:
    from coordinator.registry.callers import Role

cli = typer.Typer(
    name="bandwatch-coordinator",
    help="The coordinator: registries, releases and training runs behind gRPC. "
    "Settings come from the environment as BANDWATCH_COORDINATOR_...; `settings` lists them.",
    no_args_is_help=True,
    add_completion=False,
)


@cli.command()
def serve() -> None:
    """Serve agents, workers and operators until told to stop."""
    from coordinator import app
    from coordinator.settings import CoordinatorSettings

    configure_logs("coordinator")
    asyncio.run(app.serve(CoordinatorSettings()))


@cli.command()
def schedule() -> None:
    """Announce training runs to workers until told to stop; several may run, one works."""
    from coordinator import app
    from coordinator.settings import CoordinatorSettings

    configure_logs("scheduler")
    asyncio.run(app.schedule(CoordinatorSettings()))


@cli.command()
def migrate() -> None:
    """Bring the database to the schema of this version. Run it before `serve`."""
    from coordinator.registry import schema
    from coordinator.settings import CoordinatorSettings

    configure_logs("migrate")
    schema.migrate(CoordinatorSettings().sqlalchemy_url())


@cli.command()
def make_keys(
    folder: Annotated[Path, typer.Argument(help="New files go here; existing ones are kept.")] = Path(
        "bandwatch-data/keys"
    ),
) -> None:
    """Make the keys that sign releases, their root of trust for observers, and what lets members and operators in."""
    from bandwatch.artifacts.keys import make_keys as make
    from bandwatch.identity.keyring import make_authority

    for path in (*make(folder), *make_authority(folder)):
        typer.echo(f"made {path}")


@cli.command()
def make_operator(
    name: Annotated[str, typer.Argument(help="Identifier of the operator.")],
    token_file: Annotated[Path, typer.Option(help="File for the token; one that it holds already is taken.")],
    role: Annotated[str, typer.Option(help="viewer, operator or admin.")] = "admin",
) -> None:
    """Make an operator with access to the database: the first one, or one whose token was lost."""
    from coordinator.services.identity import host_commands
    from coordinator.settings import CoordinatorSettings

    asyncio.run(host_commands.make_operator(CoordinatorSettings(), name, _role(role), token_file))
    typer.echo(f"operators/{name} is {role}; the token is in {token_file}")


@cli.command()
def make_join_token(
    role: Annotated[str, typer.Option(help="observer or worker.")],
    name: Annotated[str, typer.Option(help="observers/NAME or workers/NAME; any free name when absent.")] = "",
    cell: Annotated[str, typer.Option(help="Cell of an observer that is not registered yet, as cells/NAME.")] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="File for the token; without it the token is printed.")
    ] = None,
    *,
    trusted: Annotated[bool, typer.Option("--trusted", help="Trust the data of that observer at once.")] = False,
) -> None:
    """Make a join token with access to the database."""
    from bandwatch import names
    from bandwatch.identity.private_files import write_private
    from coordinator.services.identity import host_commands
    from coordinator.settings import CoordinatorSettings

    cell_id = names.cells.id(cell) if cell else None
    made = host_commands.make_join_token(CoordinatorSettings(), _role(role), name, cell_id, trusted=trusted)
    text = asyncio.run(made)
    if token_file is None:
        typer.echo(text)
    else:
        token_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(token_file, text.encode() + b"\n")


@cli.command()
def rotate_authority(
    *,
    finish: Annotated[bool, typer.Option("--finish", help="Stop trusting the authority of before.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Cut off members that have not renewed.")] = False,
) -> None:
    """Make a new certificate authority beside the old one; once all members have renewed, let it take its place."""
    from coordinator.services.identity import host_commands
    from coordinator.settings import CoordinatorSettings

    if not finish:
        host_commands.begin_rotation(CoordinatorSettings())
        typer.echo("both authorities are trusted; when `rotate-authority --finish` says so, every member has renewed")
        return
    for member in asyncio.run(host_commands.finish_rotation(CoordinatorSettings(), force=force)):
        typer.echo(f"cut off: {member}")
    typer.echo("only the new authority is trusted; give its authorities.pem to operators")


def _role(word: str) -> "Role":
    from coordinator.registry.callers import Role

    try:
        return Role(word)
    except ValueError as error:
        raise InvalidArgumentError(f"{word!r} is no role") from error


_RootKey = Annotated[
    Path | None, typer.Option("--root-key", help="File of the root key; root.key beside signing.key when absent.")
]


@cli.command()
def rotate_signing_key(root_key: _RootKey = None) -> None:
    """Exchange signing.key and timestamp.key, and sign everything again. Agents follow by themselves."""
    from coordinator import app
    from coordinator.services.releasing.rotations import rotate_signing_keys
    from coordinator.settings import CoordinatorSettings

    configure_logs("rotate")
    version = asyncio.run(app.rotate(CoordinatorSettings(), root_key, rotate_signing_keys))
    typer.echo(f"version {version} of the root of trust names new keys; what the old ones sign is refused from now on")


@cli.command()
def rotate_root_key(root_key: _RootKey = None) -> None:
    """Exchange root.key, and make a root of trust that both root keys signed. Agents follow by themselves."""
    from coordinator import app
    from coordinator.services.releasing.rotations import rotate_root_key as rotate
    from coordinator.settings import CoordinatorSettings

    configure_logs("rotate")
    version = asyncio.run(app.rotate(CoordinatorSettings(), root_key, rotate))
    typer.echo(f"version {version} of the root of trust is made with a new root key")


@cli.command()
def settings() -> None:
    """List every setting with its default and what it means."""
    from coordinator.settings import ENVIRONMENT_PREFIX, CoordinatorSettings

    for name, field in CoordinatorSettings.model_fields.items():
        typer.echo(f"{ENVIRONMENT_PREFIX}{name.upper()} (default {field.default}): {field.description}")


def guarded(command: Callable[[], None]) -> None:
    """Run a command; an error of ours ends it with one sentence instead of a stack."""
    try:
        command()
    except BandwatchError as error:
        typer.echo(f"bandwatch-coordinator: {error.message}", err=True)
        sys.exit(1)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            typer.echo(f"bandwatch-coordinator: setting {fault['loc'][0]}: {fault['msg']}", err=True)
        sys.exit(2)


def main() -> None:
    """Entry point."""
    guarded(cli)


if __name__ == "__main__":
    main()
