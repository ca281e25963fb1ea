"""Brings the database to the schema of this version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from bandwatch.errors import FailedPreconditionError, UnavailableError
from coordinator.registry import identities, incidents, policies, release_metadata, rollouts, totals

TABLES: Final = (identities, incidents, policies, release_metadata, rollouts, totals)
"""The modules that describe tables besides `entities`: whoever asks for the schema knows all of it."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
_MIGRATION_LOCK: Final = 0x62616E64
"""Advisory lock: two coordinators that start together migrate one after the other."""


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        place = url.render_as_string(hide_password=True)
        raise UnavailableError(f"the database at {place} cannot be used: {error.orig}") from error
    finally:
        engine.dispose()


def migrate(url: URL) -> None:
    """Upgrade the database to the newest schema, waiting at most 10 s for a lock and 10 minutes for a statement.

    Raises:
        UnavailableError: The database cannot be reached, is too slow, or somebody else holds its locks.
    """
    with _connected(url) as connection:
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        command.upgrade(configuration(connection), "head")


def require_newest(url: URL) -> None:
    """See that the database has the schema of this version.

    Raises:
        UnavailableError: The database cannot be reached.
        FailedPreconditionError: It has another schema.
    """
    with _connected(url) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        wanted = ScriptDirectory.from_config(configuration(connection)).get_current_head()
    if found != wanted:
        raise FailedPreconditionError(
            f"the database has schema {found or 'none'}, and this version needs {wanted}: "
            "run `bandwatch-coordinator migrate` first"
        )
