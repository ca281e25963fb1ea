"""Makes what infra/compose.yaml takes as secrets: keys, the database's password, the first operator's token."""

import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from bandwatch.artifacts.keys import make_keys
from bandwatch.errors import BandwatchError
from bandwatch.identity.keyring import make_authority

_FOLDER_MODE = 0o700
_FILE_MODE = 0o644
"""A container of another user reads the files that are given to it; the folder keeps others of this host out."""


def make_secrets(folder: Path) -> list[Path]:
    """Make the secrets that a folder lacks, and return the new files.

    Raises:
        BandwatchError: A file is there and cannot be what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
    folder.chmod(_FOLDER_MODE)
    made = [*make_keys(folder), *make_authority(folder)]
    password_file = folder / "postgres.password"
    made += _write_missing(password_file, f"{secrets.token_hex(24)}\n")
    service = {
        "host": "postgres",
        "dbname": "bandwatch",
        "user": "bandwatch",
        "password": password_file.read_text().strip(),
    }
    lines = ["[bandwatch]", *(f"{name}={value}" for name, value in service.items())]
    made += _write_missing(folder / "pg_service.conf", "\n".join(lines) + "\n")
    made += _write_missing(folder / "operator.token", f"{secrets.token_urlsafe(32)}\n")
    made += _write_missing(folder / "grafana.password", f"{secrets.token_urlsafe(24)}\n")
    made += _write_missing(folder / "observer.token", "")  # to be filled with a join token for the simulated observer
    for path in folder.iterdir():
        path.chmod(_FILE_MODE)
    return made


def _write_missing(path: Path, content: str) -> list[Path]:
    if path.exists():
        return []
    path.write_text(content)
    return [path]


def _command(folder: Annotated[Path, typer.Argument(help="New files go here; existing ones are kept.")]) -> None:
    """Make the secrets of a deployment by infra/compose.yaml. Nobody but you can enter the folder.

    Afterwards move root.key to where only a rotation of keys finds it: no container needs it.

    Example: python -m infra.docker.make_secrets infra/secrets
    """
    try:
        for path in make_secrets(folder):
            typer.echo(f"made {path}")
    except BandwatchError as error:
        typer.echo(f"make_secrets: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(_command)
