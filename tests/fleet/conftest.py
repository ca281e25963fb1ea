"""What tests about the whole fleet share: the servers of the integration tests, and a report of one line per item."""

import inspect
import re
from collections.abc import Callable, Generator
from dataclasses import astuple, dataclass
from typing import Any, Final, Protocol, cast

import pytest

from tests.integration.conftest import (
    coordinator,
    database_url,
    migrated_database,
    network,
    servers,
    start_coordinator,
)

__all__ = ["coordinator", "database_url", "migrated_database", "network", "servers", "start_coordinator"]

ITEMS: Final = range(1, 9)
"""What was promised, by number; 9 is that all of them are tests."""
_NUMBER: Final = re.compile(r"\bitem_result\(\s*(?:number=)?(\d+)")


_PROPERTY: Final = "item"
"""By which a test's report carries its lines, also from one process to another."""


@dataclass(frozen=True)
class ItemLine:
    """One line of the report."""

    number: int
    text: str


class ItemResult(Protocol):
    """Says that an item was proven."""

    def __call__(self, number: int, *, tried: str, how_often: int, lost: str) -> None:
        """Report an item: what was tried, how often, and what was lost."""
        ...  # a protocol has no body


@pytest.fixture
def item_result(request: pytest.FixtureRequest) -> ItemResult:
    """Give a function that adds a line to the report at the end of the session."""

    def report(number: int, *, tried: str, how_often: int, lost: str) -> None:
        line = ItemLine(number, f"{tried}; {how_often} times; lost: {lost}")
        request.node.user_properties.append((_PROPERTY, astuple(line)))

    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a line for a test that failed or was skipped: it proves nothing."""
    report = yield
    if report.failed or report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else f"in {report.when}"
        lines = [ItemLine(number, f"{report.outcome.upper()}: {item.nodeid}: {reason}") for number in _items_of(item)]
        report.user_properties.extend((_PROPERTY, astuple(line)) for line in lines)
    return report


def _items_of(item: pytest.Item) -> set[int]:
    """Return which items a test would have reported, read from its text; 0 where it does not say."""
    function: Callable[..., Any] = getattr(item, "function", lambda: None)
    return {int(number) for number in _NUMBER.findall(inspect.getsource(function))} or {0}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Print the report below everything else."""
    yield
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:  # as in each of several processes that test; theirs come to the one that reports
        return
    reports = [report for found in terminal.stats.values() for report in found if isinstance(report, pytest.TestReport)]
    properties = [of for report in reports for name, of in report.user_properties if name == _PROPERTY]
    lines = {ItemLine(*cast("tuple[int, str]", of)) for of in properties}
    if not lines:
        return
    missing = [
        ItemLine(number, "not tried in this session") for number in ITEMS if all(n.number != number for n in lines)
    ]
    terminal.ensure_newline()
    for line in sorted([*lines, *missing], key=lambda line: (line.number, line.text)):
        terminal.write_line(f"item {line.number or '?'}: {line.text}")
