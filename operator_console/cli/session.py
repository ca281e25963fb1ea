"""What one command works with: the options for every command, a client, and where its answer goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from bandwatch.errors import NotFoundError, PermissionDeniedError
from operator_console.cli.output import Output
from operator_console.coordinator_client import AdminClient


@dataclass(frozen=True)
class GlobalOptions:
    """The options that stand before the command."""

    coordinator: str
    token_file: Path
    as_json: bool


@dataclass(frozen=True)
class Session:
    """One command's client and output."""

    client: AdminClient
    output: Output


@contextmanager
def open_session(ctx: typer.Context) -> Iterator[Session]:
    """Connect as the options say.

    Raises:
        NotFoundError: There is no token file.
        PermissionDeniedError: This user may not read the token file.
    """
    options: GlobalOptions = ctx.obj
    with AdminClient(options.coordinator, _token(options.token_file)) as client:
        yield Session(client, Output(options.as_json))


def _token(token_file: Path) -> str:
    try:
        return token_file.read_text().strip()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no operator's token at {token_file}: start the platform with `bandwatch up`, or name the file with "
            "--token-file before the command"
        ) from error
    except OSError as error:
        raise PermissionDeniedError(f"the operator's token at {token_file} cannot be read: {error.strerror}") from error
