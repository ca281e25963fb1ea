"""What a soak looks at again and again: processes, metrics of the coordinators, tables, and folders."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psutil
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from benchmarks.soak.platform import Platform

ALONE: Final = ("redis", "coordinator-1", "coordinator-2", "schedule", "worker-1")
"""Programs of which the process itself counts; PostgreSQL is its server with all that serve a connection."""
OWN: Final = "front and this script"
_WITHIN_S: Final = 2.0


@dataclass(frozen=True)
class ProcessLook:
    """What a program takes at a moment; `life` says which of its starts this is."""

    life: int
    megabytes: float
    """Of memory, where pages that processes share count in parts (PSS)."""
    files: int
    threads: int


@dataclass(frozen=True)
class TableLook:
    """How many rows a table has, and what they take with their indexes."""

    rows: int
    megabytes: float


@dataclass(frozen=True)
class FolderLook:
    """What lies in a folder and all below."""

    files: int
    megabytes: float


@dataclass(frozen=True)
class Sample:
    """Everything at one moment; what did not answer then is missing."""

    minute: float
    processes: dict[str, ProcessLook]
    streams: dict[str, dict[str, float]]
    """Open streams of each coordinator by method."""
    fleet: dict[str, float]
    """What the coordinators say of the fleet."""
    tables: dict[str, TableLook]
    database_megabytes: float | None
    folders: dict[str, FolderLook]

    @property
    def watches(self) -> float | None:
        """Watch streams at all coordinators, if all of them said."""
        return sum(each.get("Watch", 0.0) for each in self.streams.values()) if len(self.streams) > 1 else None


class Sampler:
    """Takes samples of a platform and the fleet on it."""

    def __init__(self, platform: Platform, fleet_pid: int, folders: Mapping[str, Path]) -> None:
        self._platform = platform
        self._fleet = psutil.Process(fleet_pid)
        self._folders = folders

    def take(self, minute: float) -> Sample:
        """Look at everything once."""
        streams, fleet = self._metrics()
        tables, database_megabytes = self._database()
        folders = {name: _folder_look(folder) for name, folder in self._folders.items()}
        return Sample(minute, self._processes(), streams, fleet, tables, database_megabytes, folders)

    def _processes(self) -> dict[str, ProcessLook]:
        found = {}
        for name in ("postgres", *ALONE):
            with suppress(psutil.Error):
                first = psutil.Process(self._platform.pid(name))
                found[name] = _process_look(first, [] if name in ALONE else first.children(recursive=True))
        with suppress(psutil.Error):
            found["fleet"] = _process_look(self._fleet, [])
        found[OWN] = _process_look(psutil.Process(), [])
        return found

    def _metrics(self) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
        streams: dict[str, dict[str, float]] = {}
        fleet: dict[str, float] = {}
        for name, address in self._platform.metrics.items():
            with suppress(httpx.HTTPError):
                text = httpx.get(f"http://{address}/metrics", timeout=_WITHIN_S, trust_env=False).text
                samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
                streams[name] = {
                    one.labels["method"]: one.value for one in samples if one.name == "bandwatch_open_streams"
                }
                fleet |= {
                    " ".join((one.name, *one.labels.values())): one.value
                    for one in samples
                    if one.name in _OF_THE_FLEET
                }
        return streams, fleet

    def _database(self) -> tuple[dict[str, TableLook], float | None]:
        try:
            with self._platform.connect(connect_timeout=_WITHIN_S, options="-c statement_timeout=10s") as connection:
                names = connection.execute(
                    "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
                )
                counts = sql.SQL(" UNION ALL ").join(_COUNT.format(name, sql.Identifier(name)) for (name,) in names)
                found = connection.execute(counts).fetchall()
                (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
        except psycopg.Error:
            return {}, None
        return {str(name): TableLook(rows, taken / 1e6) for name, rows, taken in sorted(found)}, size / 1e6


_COUNT: Final = sql.SQL("SELECT {0}, count(*), pg_total_relation_size({0}::regclass) FROM {1}")
_OF_THE_FLEET: Final = (
    "bandwatch_observers",
    "bandwatch_open_runs",
    "bandwatch_releases",
    "bandwatch_open_incidents",
)


def _process_look(first: psutil.Process, children: Sequence[psutil.Process]) -> ProcessLook:
    megabytes, files, threads = 0.0, 0, 0
    for process in (first, *children):
        with suppress(*((psutil.NoSuchProcess,) if process is not first else ())):
            megabytes += process.memory_full_info().pss / 1e6
            files += process.num_fds()
            threads += process.num_threads()
    return ProcessLook(first.pid, megabytes, files, threads)


def _folder_look(folder: Path) -> FolderLook:
    files, size = 0, 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 - thousands of files, often
                files += 1
    return FolderLook(files, size / 1e6)
