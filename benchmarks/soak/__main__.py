"""Half an hour of the whole platform under a simulated fleet while something of it breaks every minute.

PostgreSQL, Redis, two coordinators behind one address, a schedule and a worker run as `bandwatch up` runs them: what
dies is started again after a second. A fleet of `bandwatch-agent simulate` listens, policies order students and release
them, and each minute one thing is killed, stopped for a while, emptied or cut off, in an order that the seed decides,
again and again. Every ten seconds memory, open files, threads, streams, tables and folders are looked at.

What stands beside each figure is the same figure earlier in the same run: what is not meant to grow stays where it was.
A slope is that of a straight line through the second half of the longest life of a program, since one that was killed
begins anew, with the standard error of the fit. A segment counts as held up by a fault if it was stored more than 3 s
later than segments usually are; the fleet has delivered again when the last of them is stored.

In the end the fleet delivers what it holds, and what agents were promised is compared with rows and codes, segment by
segment. The script ends with 1 if one that was acknowledged is not there.
"""

import argparse
import json
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.soak.books import Books, Training, close_books, look_at_training, segment_times
from benchmarks.soak.faults import EVERY_S, Fault, Recovery, recoveries, strike
from benchmarks.soak.network import order_teacher, register, write_network
from benchmarks.soak.platform import FleetProcess, Platform, running_platform, simulated_fleet
from benchmarks.soak.samples import Sample, Sampler
from benchmarks.soak.tables import progress, tables
from observer_agent.simulation.account import FleetAccount
from operator_console.coordinator_client import AdminClient

SAMPLE_S: Final = 10.0
LAST_FAULT_S: Final = 60.0
"""No fault comes later than so long before the end, so that the fleet can recover from it."""


@dataclass(frozen=True)
class Soak:
    """Everything that was seen."""

    observers: int
    seed: int
    samples: list[Sample]
    faults: list[Fault]
    recoveries: list[Recovery]
    training: Training
    books: Books


def main() -> int:
    """Run the soak, print its tables, and return 1 if anything that was acknowledged is lost."""
    options = _parse()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with _folder(options.keep) as folder:
        soak = _soak(folder, options)
    print(tables(soak.samples, soak.observers, soak.recoveries, soak.training, soak.books))
    if options.json:
        options.json.write_text(json.dumps(asdict(soak), indent=1, default=str))
    return 1 if soak.books.lost else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--observers", type=int, default=200)
    parser.add_argument("--period-seconds", type=float, default=60.0, help="in which each observer listens once")
    parser.add_argument("--seed", type=int, default=0, help="another one breaks things in another order")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep logs, database and spools in this new folder")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    return parser.parse_args()


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bandwatch-soak-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _tell(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def _soak(folder: Path, options: argparse.Namespace) -> Soak:
    fleet_folder = folder / "fleet"
    fleet_folder.mkdir()
    network, tokens = fleet_folder / "network.toml", fleet_folder / "tokens"
    write_network(network, options.minutes)
    with (
        running_platform(folder / "platform", _tell) as platform,
        AdminClient(
            platform.operators, platform.operator_token, platform.folder.authorities_file.read_bytes()
        ) as client,
    ):
        _tell(f"registering {options.observers} observers")
        tokens.write_text("\n".join(register(client, network, options.observers)))
        with simulated_fleet(platform, network, tokens, options.observers, options.period_seconds) as fleet:
            fleet.wait_until_it_listens()
            samples, faults = _watch(platform, fleet, client, fleet_folder, options)
            _tell("the radio ends; agents deliver what they hold")
            ended_at = datetime.now(UTC)
            account = FleetAccount.model_validate_json(fleet.end())
        _tell("comparing what was acknowledged with what is stored")
        with platform.connect() as connection:
            return Soak(
                options.observers,
                options.seed,
                samples,
                faults,
                recoveries(faults, segment_times(connection), ended_at),
                look_at_training(connection),
                close_books(connection, platform.folder.blobs / "segments", account),
            )


def _watch(
    platform: Platform, fleet: FleetProcess, client: AdminClient, fleet_folder: Path, options: argparse.Namespace
) -> tuple[list[Sample], list[Fault]]:
    """Take samples until the time is over, while things break and a teacher is ordered beside it."""
    begun_s = time.monotonic()
    end_s = begun_s + 60 * options.minutes
    first_s = begun_s + 2 * options.period_seconds + SAMPLE_S  # before that nobody delivers
    times_s = [first_s + number * EVERY_S for number in range(int((end_s - LAST_FAULT_S - first_s) // EVERY_S) + 1)]
    folders = {
        "blobs": platform.folder.blobs,
        "the worker's": platform.folder.worker,
        "Redis's": platform.folder.redis,
        "logs": platform.folder.logs,
        "the fleet's": fleet_folder,
    }
    sampler = Sampler(platform, fleet.pid, folders)
    with ThreadPoolExecutor(2) as beside:
        breaking = beside.submit(strike, platform, options.seed, times_s, _tell)
        ordering = beside.submit(order_teacher, client, platform.stopping)
        try:
            samples = list(_samples(sampler, platform, fleet, begun_s, options))
        finally:
            platform.stopping.set()
    ordering.result()
    return samples, breaking.result()


def _samples(
    sampler: Sampler, platform: Platform, fleet: FleetProcess, begun_s: float, options: argparse.Namespace
) -> Iterator[Sample]:
    pause = threading.Event()
    number = 0
    while number * SAMPLE_S <= 60 * options.minutes:
        pause.wait(max(0.0, begun_s + number * SAMPLE_S - time.monotonic()))
        platform.require_watched()
        fleet.require_running()
        sample = sampler.take((time.monotonic() - begun_s) / 60)
        _tell(progress(sample, options.observers, options.minutes))
        yield sample
        number = max(number + 1, int((time.monotonic() - begun_s) // SAMPLE_S))


if __name__ == "__main__":
    sys.exit(main())
