"""Watch streams that one coordinator holds: memory of each, and how soon all are told that their observers changed.

Every agent has a connection of its own with TLS on both sides, and watches over it, as in a fleet; processes of this
script hold some of them each. Once all have heard their present revision and the coordinator is quiet, its memory is
compared with that of before. Then the revision of every observer is raised in one transaction, several times over; the
database names each of them, and the clock runs from that commit until every agent has its new revision.

The alternative is a bare server with the same TLS and limits, which holds the same streams, asks no database, and
tells all of them at one call.
"""

import argparse
import asyncio
import json
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import psutil

from bandwatch.identity.identity_files import Identity
from bandwatch.wire.channel import member_credentials, open_channel
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from benchmarks.members import Fleet, bare_server, cpu_s, fleet_of, serve_bare, spent_s

STREAMS: Final = (1000, 5000, 10_000)
STREAMS_OF_PROCESS: Final = 1000
OPENED_AT_ONCE: Final = 50
"""Streams that one process opens at the same time."""
PATIENCE_S: Final = 300.0
SPARE_FILES: Final = 500


@dataclass(frozen=True)
class Holding:
    """So many streams at one server: what each takes, and how long all took to hear of a change."""

    server: str
    streams: int
    kilobytes_each: float
    opening_s: float
    telling_s: list[float]
    idle_cpu_percent: float


def main() -> None:
    """Hold streams and print what they take as a Markdown table."""
    options = _parse()
    if options.bare_server:
        serve_bare(options.bare_server, options.keys, _bare_methods())
        return
    if options.hold:
        asyncio.run(_hold(*pickle.loads(options.hold.read_bytes())))  # noqa: S301 - written by this script
        return
    most = max(options.streams)
    _allow_files(most + SPARE_FILES)
    holdings: list[Holding] = []
    for streams in options.streams:
        settings = {"WATCH_LIMIT": str(streams)}
        with fleet_of(streams, settings, database_url=options.database_url, folder=options.folder) as fleet:
            holdings.append(_measure_coordinator(fleet, options.repeats))
            with bare_server(__file__, fleet) as (address, process):
                holdings.append(_measure_bare(fleet, address, process, options.repeats))
    print(_table(holdings))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in holdings], indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, nargs="+", default=list(STREAMS))
    parser.add_argument("--repeats", type=int, default=5, help="changes that all streams are to hear of")
    parser.add_argument(
        "--database-url", help="PostgreSQL to make a database on, as an administrator; one of its own when absent"
    )
    parser.add_argument(
        "--folder", type=Path, help="for the coordinator's files; the system's temporary one when absent"
    )
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--keys", type=Path, help="keys by which the bare server proves itself")
    parser.add_argument("--bare-server", metavar="ADDRESS", help="be the bare server")
    parser.add_argument("--hold", type=Path, metavar="FILE", help="be agents that watch, as a file of this script says")
    return parser.parse_args()


def _allow_files(wanted: int) -> None:
    """Let this process and those that it starts open so many files, or say that they may not.

    Raises:
        SystemExit: The system allows fewer.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed and {hard} are allowed: raise `ulimit -n`, or hold fewer")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _bare_methods() -> dict[str, Any]:
    """Return a Watch that says a revision at each change, and a Sync that makes the change."""
    changed: list[asyncio.Event] = []
    revision = 1

    async def watch(_: bytes, __: Any) -> AsyncIterator[bytes]:
        event = asyncio.Event()
        changed.append(event)
        while True:
            event.clear()
            yield pb.WatchResponse(revision=revision).SerializeToString()
            await event.wait()

    async def change(_: bytes, __: Any) -> bytes:
        nonlocal revision
        revision += 1
        for event in changed:
            event.set()
        return b""

    return {
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
        "Sync": grpc.unary_unary_rpc_method_handler(change),
    }


async def _hold(address: str, members: Sequence[Identity]) -> None:
    """Watch as these agents, and write a line for each revision that all of them have heard."""
    told: dict[int, int] = {}
    room = asyncio.Semaphore(OPENED_AT_ONCE)

    async def watch(member: Identity) -> None:
        async with open_channel(address, member_credentials(member)) as channel:
            async with room:
                call = ObserverServiceStub(channel).Watch(pb.WatchRequest(), wait_for_ready=True)
                count(await call.read())
            while True:
                count(await call.read())

    def count(answer: Any) -> None:
        assert isinstance(answer, pb.WatchResponse), "a stream ended"
        told[answer.revision] = told.get(answer.revision, 0) + 1
        if told[answer.revision] == len(members):
            print(answer.revision, time.time(), flush=True)

    async with asyncio.TaskGroup() as group:
        for member in members:
            group.create_task(watch(member))


class _Agents:
    """Processes that hold the streams of a fleet."""

    def __init__(self, processes: Sequence["subprocess.Popen[str]"]) -> None:
        self._processes = processes

    def all_heard(self, revision: int) -> float:
        """Wait until every agent has heard a revision, and return at which time the last one did."""
        return max(self._heard(process, revision) for process in self._processes)

    def _heard(self, process: "subprocess.Popen[str]", revision: int) -> float:
        assert process.stdout is not None
        for line in process.stdout:
            heard, at_s = line.split()
            if int(heard) == revision:
                return float(at_s)
        raise RuntimeError("agents that watched have ended")


@contextmanager
def _agents(address: str, members: Sequence[Identity]) -> Iterator[_Agents]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes = []
        for begin in range(0, len(members), STREAMS_OF_PROCESS):
            plan = Path(folder) / str(begin)
            plan.write_bytes(pickle.dumps((address, members[begin : begin + STREAMS_OF_PROCESS])))
            command = [sys.executable, __file__, "--hold", str(plan)]
            processes.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
            stack.callback(processes[-1].kill)
        yield _Agents(processes)


def _measure_coordinator(fleet: Fleet, repeats: int) -> Holding:
    def change(revision: int) -> None:
        with fleet.connect() as connection:
            connection.execute("UPDATE observers SET revision = %s WHERE id LIKE 'o-%%'", [revision])

    return _measure("coordinator", fleet.members, fleet.members[0].address, fleet.coordinator, change, repeats)


def _measure_bare(fleet: Fleet, address: str, process: psutil.Process, repeats: int) -> Holding:
    async def call() -> None:
        async with open_channel(address, member_credentials(fleet.members[0])) as channel:
            await ObserverServiceStub(channel).Sync(pb.SyncRequest(), wait_for_ready=True)

    return _measure("bare", fleet.members, address, process, lambda _: asyncio.run(call()), repeats)


def _measure(
    name: str, members: Sequence[Identity], address: str, process: psutil.Process, change: Any, repeats: int
) -> Holding:
    before = process.memory_info().rss
    begin_s = time.time()
    with _agents(address, members) as agents:
        opening_s = agents.all_heard(1) - begin_s
        print(f"{name}: {len(members)} streams are open after {opening_s:.0f} s", flush=True)
        idle = _idle_percent(process)
        each = (process.memory_info().rss - before) / len(members) / 1000
        telling = []
        for revision in range(2, 2 + repeats):
            change_s = time.time()
            change(revision)
            telling.append(agents.all_heard(revision) - change_s)
        print(f"{name}: {each:.0f} kB each; all told after {_spread(telling)} s", flush=True)
    return Holding(name, len(members), each, opening_s, telling, idle)


def _idle_percent(process: psutil.Process, seconds: float = 5.0) -> float:
    """Return which share of one core a server takes while nothing changes."""
    before, begin_s = cpu_s([process]), time.perf_counter()
    time.sleep(seconds)
    return 100 * spent_s(before, cpu_s([process])) / (time.perf_counter() - begin_s)


def _table(holdings: Sequence[Holding]) -> str:
    lines = [
        "| streams | server | kB each | opened in, s | all told after, s | of one core while idle, % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one.streams} | {one.server} | {one.kilobytes_each:.0f} | {one.opening_s:.1f} "
        f"| {_spread(one.telling_s)} | {one.idle_cpu_percent:.0f} |"
        for one in holdings
    ]
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
