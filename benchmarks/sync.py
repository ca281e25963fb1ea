"""Sync calls through the coordinator and its database against a bare server that answers the same bytes at once.

Both are processes of their own, with the same TLS, in which the caller proves itself too, and the same gRPC limits.
Every agent has a channel and a certificate of its own and calls again as soon as it is answered. The coordinator looks
the certificate up, writes what the agent reports and reads what it is to be. The two servers take turns.

Calls per second depend on what else needs the processors, the callers among them; the processor time of a call does so
less. The share of one core for 100,000 agents that call once a minute follows from the latter.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil

from bandwatch.identity.identity_files import Identity
from bandwatch.wire.channel import member_credentials, open_channel
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1 import spectrum_pb2
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from benchmarks.members import Fleet, bare_server, cpu_s, fleet_of, serve_bare, spent_s

AGENTS_AT_SCALE = 100_000
SYNC_PERIOD_S = 60.0


@dataclass(frozen=True)
class Round:
    """One turn of one server."""

    server: str
    calls: int
    seconds: float
    server_cpu_s: float
    database_cpu_s: float

    @property
    def calls_per_s(self) -> float:
        """Calls answered in a second."""
        return self.calls / self.seconds

    @property
    def call_cpu_us(self) -> float:
        """Microseconds of the server's processor time for one call."""
        return 1e6 * self.server_cpu_s / self.calls

    @property
    def database_cpu_us(self) -> float:
        """Microseconds of the database's processor time for one call."""
        return 1e6 * self.database_cpu_s / self.calls


def main() -> None:
    """Run the comparison and print it as a Markdown table."""
    options = _parse()
    if options.bare_server:
        serve_bare(options.bare_server, options.keys, {"Sync": grpc.unary_unary_rpc_method_handler(_answer)})
        return
    with (
        fleet_of(options.agents, {}, database_url=options.database_url, folder=options.folder) as fleet,
        bare_server(__file__, fleet) as bare,
    ):
        rounds = list(_rounds(fleet, *bare, options))
    print(_table(rounds))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rounds], indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--agents", type=int, default=64, help="that call at the same time")
    parser.add_argument("--seconds", type=float, default=8.0, help="of one turn")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--database-url", help="PostgreSQL to make a database on, as an administrator; one of its own when absent"
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary one when absent")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--keys", type=Path, help="keys by which the bare server proves itself")
    parser.add_argument("--bare-server", metavar="ADDRESS", help="be the bare server")
    return parser.parse_args()


def _example() -> pb.SyncResponse:
    """Return an answer as the coordinator gives it to an observer of a cell without a model."""
    band = spectrum_pb2.Band(name="bands/north", center_hz=881.5e6, width_hz=5e6)
    desired = pb.DesiredState(revision=1, cell=spectrum_pb2.Cell(name="cells/c-0", band=band.name), band=band)
    return pb.SyncResponse(desired=desired, upload_credit_bytes=8 << 20)


_ANSWER = _example().SerializeToString()


async def _answer(_: bytes, __: Any) -> bytes:
    return _ANSWER


def _rounds(fleet: Fleet, bare: str, bare_process: psutil.Process, options: argparse.Namespace) -> Iterator[Round]:
    """Let each server be called in turns; a first turn of each is not counted."""
    targets = (
        ("coordinator", fleet.members[0].address, fleet.coordinator),
        ("bare", bare, bare_process),
    )
    with fleet.connect() as connection:
        (postmaster,) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone() or ("",)
    database = psutil.Process(int(str(postmaster).split()[0]))
    for turn in range(1 + options.repeats):
        for name, address, process in targets:
            before = cpu_s([process]), cpu_s(database.children())
            begin_s = time.perf_counter()
            calls = asyncio.run(_call_all(address, fleet.members, options.seconds))
            seconds = time.perf_counter() - begin_s
            after = cpu_s([process]), cpu_s(database.children())
            spent = [spent_s(*looks) for looks in zip(before, after, strict=True)]
            if turn:
                yield Round(name, calls, seconds, *spent)
                print(f"turn {turn} of {options.repeats}, {name}: {calls / seconds:.0f} calls a second", flush=True)


async def _call_all(address: str, members: Sequence[Identity], seconds: float) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_call(address, member, seconds)) for member in members]
    return sum(task.result() for task in tasks)


async def _call(address: str, member: Identity, seconds: float) -> int:
    """Call again and again, as one agent, and return how often."""
    reported = pb.ReportedState(
        agent_version="0.1.0",
        applied_revision=1,
        running_serial=7,
        running_model="models/m-0123456789abcdef",
        spooled_segments=3,
        spooled_bytes=6_000_000,
        windows_scored=12_345_678,
        anomalies_found=1234,
        cell="cells/c-0",
        spool_made=400,
        spool_acknowledged=397,
    )
    request = pb.SyncRequest(state=reported)
    calls = 0
    async with open_channel(address, member_credentials(member)) as channel:
        stub = ObserverServiceStub(channel)
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            await stub.Sync(request)
            calls += 1
    return calls


def _table(rounds: Sequence[Round]) -> str:
    """Return medians, with the least and the most in brackets."""
    ours, bare = ([one for one in rounds if one.server == name] for name in ("coordinator", "bare"))
    speed = [100 * our.calls_per_s / their.calls_per_s for our, their in zip(ours, bare, strict=True)]
    cost = [100 * their.call_cpu_us / our.call_cpu_us for our, their in zip(ours, bare, strict=True)]
    per_s = AGENTS_AT_SCALE / SYNC_PERIOD_S
    figures = {
        "calls a second": [[one.calls_per_s for one in ours], [one.calls_per_s for one in bare], speed],
        "processor time of a call, us": [[one.call_cpu_us for one in ours], [one.call_cpu_us for one in bare], cost],
        "the same in PostgreSQL, us": [[one.database_cpu_us for one in ours]],
        f"share of one core for {AGENTS_AT_SCALE:,} agents, %": [
            [one.call_cpu_us * per_s / 1e4 for one in side] for side in (ours, bare)
        ],
    }
    lines = ["| | coordinator | bare | coordinator of bare, % |", "| --- | --- | --- | --- |"]
    for what, columns in figures.items():
        cells = [*map(_spread, columns), "", ""][:3]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


if __name__ == "__main__":
    main()
