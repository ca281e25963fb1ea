"""Lists in pages: by key, so that rows which appear meanwhile neither repeat nor hide others."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from bandwatch.errors import InvalidArgumentError
from coordinator.registry.entities import Entity

DEFAULT_PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1000

_LARGEST_INTEGER: Final = 2**63 - 1

EntityT = TypeVar("EntityT", bound=Entity)


@dataclass(frozen=True)
class PageRequest:
    """How many entries (0 for the default), after which one."""

    size: int = 0
    token: str = ""


@dataclass(frozen=True)
class Page(Generic[EntityT]):
    """Entries, and the token that asks for what follows them; empty at the end."""

    entries: Sequence[EntityT]
    next_token: str


async def read_page(
    session: AsyncSession,
    query: Select[EntityT],
    key: Sequence[InstrumentedAttribute[Any]],
    request: PageRequest,
    *,
    newest_first: bool = False,
) -> Page[EntityT]:
    """Read one page of a query, ordered by a unique key.

    Raises:
        InvalidArgumentError: The token is not one that an earlier page gave.
    """
    size = min(request.size or DEFAULT_PAGE_SIZE, LARGEST_PAGE_SIZE)
    if request.token:
        last = tuple_(*_open(request.token, key))
        query = query.where(tuple_(*key) < last if newest_first else tuple_(*key) > last)
    query = query.order_by(*(column.desc() if newest_first else column.asc() for column in key)).limit(size + 1)
    entries = (await session.scalars(query)).all()
    if len(entries) <= size:
        return Page(entries, "")
    entries = entries[:size]
    return Page(entries, _seal([getattr(entries[-1], column.key) for column in key]))


def _seal(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values, default=str).encode()).decode()


def _open(token: str, key: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(token))
        return [_parse(column, value) for column, value in zip(key, values, strict=True)]
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidArgumentError("page_token must be the next_page_token of an earlier answer") from error


def _parse(column: InstrumentedAttribute[Any], value: object) -> Any:
    """Return a part of a key as its column holds it, and nothing that PostgreSQL could not compare with it."""
    kind = column.type.python_type
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if kind is str and isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    if kind is int and isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    raise ValueError("no such value stands in this column")
