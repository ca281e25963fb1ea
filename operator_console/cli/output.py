"""Prints resources as tables for people, or as one JSON document for programs."""

import itertools
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDTH_WHEN_NOT_A_TERMINAL: Final = 200

Resource = TypeVar("Resource", bound=Message)


@dataclass(frozen=True)
class View(Generic[Resource]):
    """How one kind of resource is shown: a heading and a text for each column."""

    columns: dict[str, Callable[[Resource], str]]
    """In lists."""
    details: dict[str, Callable[[Resource], str]]
    """Besides the columns, where one is shown alone."""


class Output:
    """Standard output of one command; remarks for people go to standard error."""

    def __init__(self, as_json: bool) -> None:  # noqa: FBT001 - it is the one choice there is
        self.as_json = as_json
        self._console = Console(
            width=None if sys.stdout.isatty() else _WIDTH_WHEN_NOT_A_TERMINAL, highlight=False, markup=False
        )

    def one(self, view: View[Resource], resource: Resource, **more: str) -> None:
        """Print one resource with its details, and more about it."""
        if self.as_json:
            self._document({**as_plain(resource), **more})
            return
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for heading, text in {**view.columns, **view.details}.items():
            table.add_row(heading, _printable(text(resource)))
        for heading, value in more.items():
            table.add_row(heading, value)
        self._console.print(table)

    def many(self, view: View[Resource], resources: Iterable[Resource], limit: int) -> None:
        """Print the first of many resources; 0 means all of them. Reads no more of them than it must."""
        source = iter(resources)
        shown = list(itertools.islice(source, limit or None))
        if self.as_json:
            self._document([as_plain(resource) for resource in shown])
        else:
            table = Table(*view.columns, box=SIMPLE_HEAD)
            for resource in shown:
                table.add_row(*(_printable(text(resource)) for text in view.columns.values()))
            self._console.print(table if shown else "There are none.")
        if next(source, None) is not None:
            self.remark(f"These are the first {limit}; --limit 0 shows all.")

    def line(self, text: str) -> None:
        """Print a line for people; programs get nothing."""
        if not self.as_json:
            self._console.print(_printable(text))

    def remark(self, text: str) -> None:
        """Print a remark beside the answer, on standard error."""
        typer.echo(text, err=True)

    def _document(self, content: Any) -> None:
        typer.echo(json.dumps(content, indent=2))


def as_plain(resource: Message) -> dict[str, Any]:
    """Return a resource in the JSON form of protobuf, with the names of the contract and every field."""
    return MessageToDict(resource, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _printable(text: str) -> str:
    # Titles and reasons come from elsewhere, and a terminal obeys the control characters in them.
    return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)
