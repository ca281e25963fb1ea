"""A database of a benchmark's own: on a PostgreSQL that is named, or on one from the Python package that brings it."""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy.engine import URL, make_url

from infra.local.postgres import LocalPostgres
from infra.local.supervisor import Supervisor


@contextmanager
def own_database(server: str | None, *, keep: bool) -> Iterator[URL]:
    """Make a database while the block runs, and drop it in the end unless it is to be kept."""
    with _server(server) as url:
        name = f"bandwatch_benchmark_{uuid4().hex[:8]}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        own = make_url(url).set(drivername="postgresql+psycopg", database=name)
        try:
            yield own
        finally:
            if keep and server:
                print(f"kept: {own.render_as_string()}")
            else:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextmanager
def _server(named: str | None) -> Iterator[str]:
    if named:
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="bandwatch-benchmark-") as folder:
        root = Path(folder).resolve()
        logs = root / "logs"
        logs.mkdir()
        supervisor, postgres = Supervisor(logs, lambda _: None, lambda: None), LocalPostgres(root / "postgres")
        try:
            supervisor.start(postgres.prepare(), threading.Event())
            yield postgres.url
        finally:
            supervisor.stop()
            postgres.clean_up()
