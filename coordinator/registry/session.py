"""The connection to PostgreSQL. Every transaction that changes something says who acts, for the audit log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from bandwatch.errors import ConflictError, InvalidArgumentError, UnavailableError
from coordinator.registry.callers import Caller, current_caller

STATEMENT_LIMIT_MS = 20_000
"""A statement that takes longer is a fault, not a wait."""
_KEEPALIVE: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
"""By which a connection that only listens notices that nobody is there any more."""
_ACTOR: Final = "bandwatch_actor"
_SAY_WHO_ACTS: Final = "SELECT set_config('bandwatch.actor', %s, true), set_config('bandwatch.action', %s, true)"


class Registry:
    """Hands out transactions on the registry's database."""

    def __init__(self, url: URL, *, connections: int) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "options": f"-c statement_timeout={STATEMENT_LIMIT_MS}"},
        )
        self._sessions = async_sessionmaker(self.engine, sync_session_class=_AttributedSession, expire_on_commit=False)
        event.listen(self.engine.sync_engine, "before_cursor_execute", _say_who_acts)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Give a session whose changes are committed together when the block ends, or not at all.

        Raises:
            ConflictError: Another transaction made or changed the same thing first.
            InvalidArgumentError: A value is none that the database can hold.
            UnavailableError: The database went away.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except IntegrityError as error:
            raise ConflictError("somebody else changed the same thing at the same time; read it again") from error
        except DataError as error:
            raise InvalidArgumentError(
                "a text or number is none that the database can hold; leave out characters such as NUL"
            ) from error
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError):
                raise UnavailableError("the database cannot be reached at present; try again soon") from error
            raise
        except PoolTimeoutError as error:
            raise UnavailableError("the database is too busy at present; try again soon") from error

    @asynccontextmanager
    async def listening(self, channel: str) -> AsyncIterator[AsyncIterator[str]]:
        """Give what is told on a channel from now on, over a connection of its own.

        Raises:
            UnavailableError: The database went away.
        """
        url = self.engine.url
        address: dict[str, Any] = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
        try:
            async with await psycopg.AsyncConnection.connect(**(address | _KEEPALIVE), autocommit=True) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield (notice.payload async for notice in connection.notifies())
        except psycopg.OperationalError as error:
            raise UnavailableError("the database cannot be reached at present; try again soon") from error

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


class _AttributedSession(Session):
    """A session whose transactions belong to whoever called."""


@event.listens_for(_AttributedSession, "after_begin")
def _note_who_acts(_session: Session, _transaction: Any, connection: Connection) -> None:
    connection.info[_ACTOR] = current_caller.get(None)


def _say_who_acts(
    connection: Connection,
    cursor: Any,
    statement: str,
    _parameters: Any,
    _context: Any,
    _many: bool,  # noqa: FBT001
) -> None:
    """Tell PostgreSQL before the first statement that may change something; reading needs no name and no round trip."""
    if _ACTOR in connection.info and not statement.startswith("SELECT"):
        caller: Caller | None = connection.info.pop(_ACTOR)
        if caller is not None:
            cursor.execute(_SAY_WHO_ACTS, (caller.name, caller.action))
