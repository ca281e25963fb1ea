"""The command `bandwatch`."""

import sys
from collections.abc import Sequence

import typer

from bandwatch.errors import BandwatchError
from operator_console.cli.app import app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; ends with 0, 1 after an error, or 2 when the command was written wrongly."""
    try:
        app(args=arguments, prog_name="bandwatch")
    except BandwatchError as error:
        typer.echo(f"error: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
