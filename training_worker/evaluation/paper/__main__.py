"""The command without the rest of the worker: python -m training_worker.evaluation.paper."""

import sys

import typer

from bandwatch.errors import BandwatchError
from training_worker.evaluation.paper.command import paper


def main() -> None:
    """Entry point."""
    try:
        typer.run(paper)
    except BandwatchError as error:
        typer.echo(error.message, err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
