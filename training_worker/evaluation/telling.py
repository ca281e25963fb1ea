"""What long work says of itself, and tables of what it found."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

SECONDS_BETWEEN: Final = 2.0

Say = Callable[[str], None]
"""Hears in words where the work is."""


class Teller:
    """Passes on where the work is, but no more often than anybody could read."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next_at = 0.0

    def __call__(self, text: str) -> None:
        """Pass a text on if the last one was `SECONDS_BETWEEN` ago."""
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + SECONDS_BETWEEN
            self._write(text)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def percent(share: float) -> str:
    """Return a share as a person reads it."""
    return f"{100 * share:.1f} %"
