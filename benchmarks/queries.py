"""The questions of the coordinator's services on a database of ten million segments: time, and how they are answered.

A database of its own is filled with generated rows. Every question is asked by the service's own function, several
times, each time about another cell, observer, incident or run, and what it changed is taken back. The alternative that
stands beside each is the one plan that always works: to read `segments` from one end to the other, once. Then every
statement is carried out again under EXPLAIN (ANALYZE, BUFFERS).
"""

import argparse
import asyncio
import json
import logging
import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from benchmarks.generated_fleet import FleetSize, fill, table_bytes
from benchmarks.own_database import own_database
from benchmarks.service_queries import (
    OF_ALL,
    OF_ONE,
    SEGMENTS,
    Ask,
    Keys,
    Plan,
    ask_once,
    choose_keys,
    plans_of,
    was_too_slow,
)
from coordinator.registry.session import STATEMENT_LIMIT_MS, Registry

BYTES_PER_SEGMENT = 1200
"""Of disk, while a database is filled, with room to build indexes."""
ROWS_OF_A_DAY = {"segments": 100, "statistics": 1440, "statistics_scores": 1440, "events": 1, "incidents": 0.3}
"""What one observer adds in a day: segments of 4 s, and each minute a span of statistics with one release's scores."""


@dataclass(frozen=True)
class Answer:
    """One question, how long each call took, and how the database went about it."""

    question: str
    seconds: list[float]
    statements: int
    plans: list[Plan]
    failure: str = ""

    @property
    def slowest(self) -> Plan | None:
        """The statement that took longest."""
        return max(self.plans, key=lambda plan: plan.milliseconds, default=None)

    @property
    def scans_segments(self) -> bool:
        """Whether any statement read all segments."""
        return any(SEGMENTS in plan.scanned for plan in self.plans)


def main() -> None:
    """Fill a database, ask, and print Markdown tables."""
    options = _parse()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    size = FleetSize(options.segments, options.observers, options.cells, options.bands)
    free = shutil.disk_usage(options.database_folder).free
    if free < size.segments * BYTES_PER_SEGMENT:
        raise SystemExit(f"{free / 1e9:.0f} GB are free; {size.segments * BYTES_PER_SEGMENT / 1e9:.0f} GB are needed")
    with own_database(options.database_url, keep=options.keep) as url:
        fill(url, size, lambda line: print(line, flush=True))
        answers, scans = asyncio.run(_ask_all(url, options.repeats))
        print(f"\nOne scan of all {size.segments:,} segments: {_spread([1000 * scan for scan in scans])} ms\n")
        print(_table(answers), f"\n\n{_sizes(table_bytes(url))}", sep="")
    if options.json:
        options.json.write_text(json.dumps([asdict(answer) for answer in answers], indent=1, default=list))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--segments", type=int, default=10_000_000)
    parser.add_argument("--observers", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=5_000)
    parser.add_argument("--bands", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=7, help="calls of each question, about different things")
    parser.add_argument(
        "--database-url", help="PostgreSQL to make a database on, as an administrator; one of its own when absent"
    )
    parser.add_argument("--database-folder", type=Path, default=Path("/"), help="on the disk whose room is looked at")
    parser.add_argument("--keep", action="store_true", help="leave the database on the server that was named")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    return parser.parse_args()


async def _ask_all(url: URL, repeats: int) -> tuple[list[Answer], list[float]]:
    """Return the answers, and how long it took each time to read all segments, taken in turns with them."""
    registry = Registry(url, connections=2)
    keys = await choose_keys(registry, repeats)
    answers, scans = [], []
    questions: Mapping[str, Ask] = {**OF_ONE, **OF_ALL}
    for place, (question, ask) in enumerate(questions.items()):
        answers.append(await _answer(registry, question, ask, keys))
        print(f"{place + 1} of {len(questions)}: {question}", flush=True)
        if place % 6 == 0:
            scans.append(await _scan(registry))
    await registry.close()
    return answers, scans


async def _answer(registry: Registry, question: str, ask: Ask, keys: Sequence[Keys]) -> Answer:
    seconds: list[float] = []
    try:
        for each in keys:
            took, sent = await ask_once(registry, ask, each)
            seconds.append(took)
        return Answer(question, seconds, len(sent), await plans_of(registry, sent))
    except DBAPIError as error:
        if not was_too_slow(error):
            raise
        return Answer(question, seconds, 0, [], f"ended after {STATEMENT_LIMIT_MS / 1000:.0f} s")


async def _scan(registry: Registry) -> float:
    """Return how many seconds it takes to read every segment once."""
    async with registry.transaction() as session:
        for setting in ("statement_timeout = 0", "enable_indexscan = off", "enable_indexonlyscan = off"):
            await session.execute(text(f"SET LOCAL {setting}"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        begin_s = time.perf_counter()
        await session.execute(text("SELECT sum(frame_count) FROM segments"))
        return time.perf_counter() - begin_s


def _table(answers: Sequence[Answer]) -> str:
    lines = [
        "| question | ms | statements | slowest statement, ms | its pages | reads all segments |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for answer in answers:
        slowest = answer.slowest
        took = _spread([1000 * second for second in answer.seconds]) if answer.seconds else ""
        plan = f"{slowest.milliseconds:.1f} | {slowest.read_pages}" if slowest else " | "
        scans = answer.failure or ("yes" if answer.scans_segments else "no")
        lines.append(f"| {answer.question} | {took} | {answer.statements} | {plan} | {scans} |")
    return "\n".join(lines)


def _sizes(tables: Mapping[str, tuple[int, int]]) -> str:
    """Return what each table takes for a row, and for what an observer adds in a day."""
    lines = [
        "| table | rows | GB | bytes a row, indexes included | rows of an observer's day | kB of an observer's day |"
    ]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    total = 0.0
    for table, rows_a_day in ROWS_OF_A_DAY.items():
        rows, size = tables[table]
        of_day = rows_a_day * size / max(1, rows) / 1000
        total += of_day
        lines.append(
            f"| {table} | {rows:,} | {size / 1e9:.2f} | {size / max(1, rows):.0f} | {rows_a_day:g} | {of_day:.1f} |"
        )
    everything = sum(size for _, size in tables.values())
    lines.append(f"| all tables | | {everything / 1e9:.2f} | | | {total:.1f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    main()
