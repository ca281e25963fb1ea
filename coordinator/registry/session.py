"""The connection to PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from bandwatch.errors import ConflictError, InvalidArgumentError, UnavailableError

STATEMENT_LIMIT_MS = 20_000
"""A statement that takes longer is a fault, not a wait."""


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
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

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

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
