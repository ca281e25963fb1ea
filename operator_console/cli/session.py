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
    authorities_file: Path
    """Certificates by which the coordinator is known."""
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
        NotFoundError: There is no token, or nothing says which coordinator to trust.
        PermissionDeniedError: This user may not read one of the files.
    """
    options: GlobalOptions = ctx.obj
    token = _read(options.token_file, "operator's token", "--token-file").decode().strip()
    authorities = _read(options.authorities_file, "coordinator's authorities", "--authorities")
    with AdminClient(options.coordinator, token, authorities) as client:
        yield Session(client, Output(options.as_json))


def _read(file: Path, what: str, option: str) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"no {what} at {file}: start the platform with `bandwatch up`, or name the file with {option} before the "
            "command"
        ) from error
    except OSError as error:
        raise PermissionDeniedError(f"the {what} at {file} cannot be read: {error.strerror}") from error
