"""The command bandwatch-worker."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bandwatch import names
from bandwatch.errors import (
    BandwatchError,
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    UnavailableError,
)
from bandwatch.logs import configure_logs
from training_worker.evaluation.command import evaluate

cli = typer.Typer(
    name="bandwatch-worker",
    help="A training worker: builds teachers and students that the coordinator orders, and judges them. "
    "Settings come from the environment as BANDWATCH_WORKER_...; `settings` lists them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",  # paragraphs of help may be longer than a line
)
cli.add_typer(evaluate)


@cli.command()
def run() -> None:
    """Train runs as they are announced, until told to stop."""
    from training_worker import app
    from training_worker.settings import WorkerSettings

    configure_logs("worker")
    app.work(WorkerSettings())


@cli.command()
def enroll(
    coordinator: Annotated[str, typer.Option(metavar="HOST:PORT", help="Coordinator to join.")],
    token: Annotated[
        str, typer.Option(envvar="BANDWATCH_JOIN_TOKEN", help="Join token that an operator made.", show_default=False)
    ] = "",
    token_file: Annotated[Path | None, typer.Option(help="File that holds the join token instead.")] = None,
    name: Annotated[str, typer.Option(help="workers/NAME to be, where the token leaves it open.")] = "",
) -> None:
    """Make a key on this machine, and exchange a join token for the certificate of a worker.

    Example: bandwatch-worker enroll --coordinator coordinator.example.org:50051 --token-file worker.token
    """
    from bandwatch.identity.join_tokens import read_join_token
    from bandwatch.wire.enrollment import enroll as join
    from training_worker.settings import WorkerSettings

    made = join(coordinator, read_join_token(token, token_file), name, WorkerSettings().identity_folder)
    typer.echo(f"{made.name} is enrolled; its certificate is good until {made.good_until}")


@cli.command(hidden=True)
def execute() -> None:
    """Make one attempt at the claimed run that comes as JSON on standard input. Started by `run`."""
    from training_worker import attempts, execution
    from training_worker.settings import WorkerSettings

    claimed = attempts.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        execution.execute(WorkerSettings(), claimed)
    except ConflictError as error:
        typer.echo(error.message)
        sys.exit(attempts.LEASE_LOST)
    except (InvalidArgumentError, FailedPreconditionError) as error:
        typer.echo(error.message)
        sys.exit(attempts.RETRY_IN_VAIN)
    except UnavailableError as error:
        typer.echo(error.message)
        sys.exit(attempts.COORDINATOR_AWAY)


def _end_with_parent() -> None:
    """End this process at once when the worker that started it is gone: the run is then no longer ours."""
    sys.stdin.read()
    os._exit(1)


@cli.command("import-keras")
def import_keras(
    file: Annotated[Path, typer.Argument(help="HDF5 file that Keras 2 wrote: a whole model or its weights.")],
    recording: Annotated[
        list[Path], typer.Option(help="SigMF recording to score and calibrate it on. May be repeated.")
    ],
    band: Annotated[
        str, typer.Option(help="Band to register the model for, as bands/NAME; nothing is registered without it.")
    ] = "",
    onnx: Annotated[Path | None, typer.Option(help="File to write the model to as one ONNX file.")] = None,
    stride_frames: Annotated[int, typer.Option(min=1, help="Frames between the starts of windows.")] = 8,
) -> None:
    """Make a model of a network that was trained with Keras 2, as the seed paper's authors published theirs.

    That is three times LSTM (64 units, hard-sigmoid gates) and batch normalisation, then a dense layer of 3200. Needs
    h5py: install bandwatch[keras]. With --band the model is registered with the coordinator, as a teacher for students.

    Example: bandwatch-worker import-keras teacher.h5 --recording cell.sigmf-meta --band bands/b880
    """
    from training_worker import importing
    from training_worker.coordinator_client import open_client
    from training_worker.learning.export import self_contained
    from training_worker.settings import WorkerSettings

    model = importing.read_model(file, recording, stride_frames, lambda told: typer.echo(told.stage, err=True))
    if onnx is not None:
        onnx.write_bytes(self_contained(model.graph, model.tensors))
    found: dict[str, object] = {"family": model.family, "error": model.error.model_dump()}
    if band:
        given = WorkerSettings()
        with open_client(given.identity_folder, given.data_dir, given.coordinator) as client:
            found["model"] = importing.register(client, names.bands.name(names.bands.id(band)), model)
    typer.echo(json.dumps(found))


@cli.command()
def settings() -> None:
    """List every setting with its default and what it means."""
    from training_worker.settings import ENVIRONMENT_PREFIX, WorkerSettings

    for name, field in WorkerSettings.model_fields.items():
        default = "from the host" if field.default_factory else field.default
        typer.echo(f"{ENVIRONMENT_PREFIX}{name.upper()} (default {default}): {field.description}")


def main() -> None:
    """Entry point."""
    try:
        cli()
    except BandwatchError as error:
        typer.echo(f"bandwatch-worker: {error.message}", err=True)
        sys.exit(1)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            typer.echo(f"bandwatch-worker: setting {fault['loc'][0]}: {fault['msg']}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
