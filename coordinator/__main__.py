"""The command bandwatch-coordinator."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bandwatch.errors import BandwatchError
from bandwatch.logs import configure_logs

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
    """Make the signing key, trusted-keys.pem for observers, and the tokens of operators and workers."""
    from bandwatch.artifacts.keys import make_keys as make

    for path in make(folder):
        typer.echo(f"made {path}")


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
