"""Faults that tests provoke, each with its promise, as a table: `pytest -m fault --fault-table FILE`.

A test says what it provokes by `@pytest.mark.fault("what happens", "what is promised")`, several times where that are
several things. It may tell its seed and how many acknowledged segments it compared by `record_property`.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import pytest

RecordProperty = Callable[[str, object], None]
"""What pytest's fixture `record_property` is."""
OPTION: Final = "--fault-table"
_PROPERTY: Final = "fault"
_HEADER: Final = """# Reliability

What was broken on purpose, what is promised, and what came of it. `make reliability` provokes all of this and writes
this page; nothing in it is written by hand.

"""


@dataclass
class _Row:
    """One fault, and every run of the test that provokes it."""

    fault: str
    promise: str
    test: str
    outcomes: list[str] = field(default_factory=list)
    seeds: set[str] = field(default_factory=set)

    @property
    def held(self) -> int:
        return self.outcomes.count("passed")

    def __str__(self) -> str:
        seeds = ", ".join(sorted(self.seeds)) or "none"
        result = f"held {self.held} of {len(self.outcomes)}"
        return f"| {self.fault} | {self.promise} | {seeds} | `{self.test}` | {result} |"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the page to write."""
    parser.addoption(OPTION, type=Path, default=None, metavar="FILE", help="Write faults and promises to this page.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell what a test provoked with its outcome, also from one process to another."""
    report = yield
    if report.when == "call" or report.outcome != "passed":
        report.user_properties.extend((_PROPERTY, mark.args) for mark in item.iter_markers(_PROPERTY))
        arguments = getattr(getattr(item, "callspec", None), "params", {})
        if "seed" in arguments:
            report.user_properties.append(("seed", arguments["seed"]))
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Write the page where one was asked for."""
    yield
    page: Path | None = session.config.getoption(OPTION)
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if page is None or terminal is None:
        return
    reports = [report for found in terminal.stats.values() for report in found if isinstance(report, pytest.TestReport)]
    rows = _rows(reports)
    page.write_text(_HEADER + _summary(rows, _segments(reports)) + _table(rows), encoding="utf-8")
    terminal.write_line(f"{len(rows)} faults are in {page}")


def _rows(reports: Iterable[pytest.TestReport]) -> list[_Row]:
    rows: dict[tuple[str, str], _Row] = {}
    for report in reports:
        told = [cast("tuple[str, str]", value) for name, value in report.user_properties if name == _PROPERTY]
        seeds = {str(value) for name, value in report.user_properties if name == "seed"}
        for fault, promise in told:
            test = report.nodeid.partition("[")[0]
            row = rows.setdefault((fault, test), _Row(fault, promise, test))
            row.outcomes.append(report.outcome)
            row.seeds |= seeds
    return sorted(rows.values(), key=lambda row: (row.test, row.fault))


def _segments(reports: Iterable[pytest.TestReport]) -> int:
    """Add up what tests compared; the report of a test's end holds what it told from its beginning."""
    ends = [report for report in reports if report.when == "teardown"]
    return sum(cast("int", value) for report in ends for name, value in report.user_properties if name == "segments")


def _summary(rows: list[_Row], compared: int) -> str:
    runs, held = sum(len(row.outcomes) for row in rows), sum(row.held for row in rows)
    lost = "0 were lost" if held == runs else "see what did not hold"
    return (
        f"{len(rows)} faults, provoked {runs} times; the promise held {held} times. In the tests that count them, "
        f"{compared} acknowledged segments were compared with what was stored: {lost}.\n\n"
    )


def _table(rows: list[_Row]) -> str:
    head = "| fault | promise | seeds | test | result |\n| --- | --- | --- | --- | --- |\n"
    return head + "".join(f"{row}\n" for row in rows)
