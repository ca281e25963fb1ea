"""The command bandwatch-worker."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from bandwatch.errors import BandwatchError, ConflictError, FailedPreconditionError, InvalidArgumentError
from bandwatch.logs import configure_logs

cli = typer.Typer(
    name="bandwatch-worker",
    help="A training worker: builds teachers and students that the coordinator orders. "
    "Settings come from the environment as BANDWATCH_WORKER_...; `settings` lists them.",
    no_args_is_help=True,
    add_completion=False,
)


@cli.command()
def run() -> None:
    """Train runs as they are announced, until told to stop."""
    from training_worker import app
    from training_worker.settings import WorkerSettings

    configure_logs("worker")
    app.work(WorkerSettings())


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


def _end_with_parent() -> None:
    """End this process at once when the worker that started it is gone: the run is then no longer ours."""
    sys.stdin.read()
    os._exit(1)


@cli.command()
def evaluate(
    frames: Annotated[
        list[Path], typer.Argument(help="Files of contiguous frames: 128 half-dB codes each, one byte a code.")
    ],
    model: Annotated[list[str], typer.Option(help="Published model to apply, as models/NAME. May be repeated.")],
    stride_frames: Annotated[int, typer.Option(min=1, help="Frames between the starts of windows.")] = 25,
) -> None:
    """Print as JSON what error published models make on frames, such as those an agent wrote with --inspect."""
    import numpy as np

    from bandwatch.spectrogram.bands import FRAME_BINS
    from training_worker.coordinator_client import open_client
    from training_worker.execution import fetch_model
    from training_worker.recipes.evaluate import evaluate as apply
    from training_worker.settings import WorkerSettings

    given = WorkerSettings()
    segments = [np.fromfile(path, np.uint8).reshape(-1, FRAME_BINS) for path in frames]
    with open_client(given.coordinator, given.token_file, given.data_dir) as client:
        found = {name: apply(fetch_model(client, name), segments, stride_frames).model_dump() for name in model}
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
