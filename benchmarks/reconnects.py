"""A fleet that comes at once: thousands of agents connect with TLS on both sides and call Sync, all in one moment.

This is what a coordinator sees after a restart if agents did not spread their attempts, which ours do. The alternative
is a bare server with the same TLS and limits that answers at once. The two take turns; agents are in several processes.
"""

import argparse
import asyncio
import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import psutil

from bandwatch.identity.identity_files import Identity
from bandwatch.wire.channel import member_credentials, open_channel
from bandwatch.wire.v1 import observer_service_pb2 as pb
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from benchmarks.members import Fleet, bare_server, cpu_s, fleet_of, serve_bare, spent_s

AGENTS_OF_PROCESS: Final = 1000
PATIENCE_S: Final = 120.0
TRIED_AGAIN: Final = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
"""By which an attempt ends that a server has no room for; gRPC gives up what nobody took up for 30 s."""
READY: Final = "ready"


@dataclass(frozen=True)
class Rush:
    """All agents at one server: when each had its answer, how many attempts failed, and the server's processor time."""

    server: str
    answered_s: list[float]
    failures: int
    server_cpu_s: float

    @property
    def last_s(self) -> float:
        """When the last one had its answer."""
        return max(self.answered_s)


def main() -> None:
    """Let the fleet come and print how long it took as a Markdown table."""
    options = _parse()
    if options.bare_server:
        serve_bare(options.bare_server, options.keys, {"Sync": grpc.unary_unary_rpc_method_handler(_answer)})
        return
    if options.come:
        _come(*pickle.loads(options.come.read_bytes()))  # noqa: S301 - written by this script
        return
    with (
        fleet_of(options.agents, {}, database_url=options.database_url, folder=options.folder) as fleet,
        bare_server(__file__, fleet) as bare,
    ):
        rushes = list(_rushes(fleet, *bare, options.repeats))
    print(_table(rushes))
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in rushes], indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--database-url", help="PostgreSQL to make a database on, as an administrator; one of its own when absent"
    )
    parser.add_argument(
        "--folder", type=Path, help="for the coordinator's files; the system's temporary one when absent"
    )
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--keys", type=Path, help="keys by which the bare server proves itself")
    parser.add_argument("--bare-server", metavar="ADDRESS", help="be the bare server")
    parser.add_argument("--come", type=Path, metavar="FILE", help="be agents that come, as a file of this script says")
    return parser.parse_args()


async def _answer(_: bytes, __: Any) -> bytes:
    return pb.SyncResponse().SerializeToString()


def _come(address: str, members: Sequence[Identity]) -> None:
    """Wait for a line, come as these agents, and write when each had its answer and how many attempts failed before."""

    async def sync(member: Identity, begin_s: float) -> tuple[float, int]:
        request, failures = pb.SyncRequest(state=pb.ReportedState()), 0
        async with open_channel(address, member_credentials(member)) as channel:
            while True:
                try:
                    await ObserverServiceStub(channel).Sync(request, wait_for_ready=True, timeout=PATIENCE_S)
                except grpc.aio.AioRpcError as error:
                    if error.code() not in TRIED_AGAIN:
                        raise
                    failures += 1
                else:
                    return time.perf_counter() - begin_s, failures

    async def come() -> list[tuple[float, int]]:
        begin_s = time.perf_counter()
        return await asyncio.gather(*(sync(member, begin_s) for member in members))

    print(READY, flush=True)
    sys.stdin.readline()
    print(json.dumps(asyncio.run(come())), flush=True)


def _rushes(fleet: Fleet, bare: str, bare_process: psutil.Process, repeats: int) -> Iterator[Rush]:
    """Let all come to each server in turns."""
    for turn in range(repeats):
        for name, address, process in (
            ("coordinator", fleet.members[0].address, fleet.coordinator),
            ("bare", bare, bare_process),
        ):
            before = cpu_s([process])
            came = _let_come(address, fleet.members)
            answered, failures = [seconds for seconds, _ in came], sum(failures for _, failures in came)
            yield Rush(name, answered, failures, spent_s(before, cpu_s([process])))
            print(f"turn {turn + 1} of {repeats}, {name}: the last after {max(answered):.1f} s", flush=True)


def _let_come(address: str, members: Sequence[Identity]) -> list[tuple[float, int]]:
    """Return when each had its answer, in seconds after all began, and how many attempts failed before."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        processes = []
        for begin in range(0, len(members), AGENTS_OF_PROCESS):
            plan = Path(folder) / str(begin)
            plan.write_bytes(pickle.dumps((address, members[begin : begin + AGENTS_OF_PROCESS])))
            command = [sys.executable, __file__, "--come", str(plan)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == READY
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.stdout.readline() for process in processes if process.stdout is not None]
    return [(seconds, failures) for answer in answers for seconds, failures in json.loads(answer)]


def _table(rushes: Sequence[Rush]) -> str:
    """Return medians, with the least and the most in brackets."""
    lines = [
        "| server | half answered after, s | all answered after, s | failed attempts | server's time for each, us |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in ("coordinator", "bare"):
        ours = [rush for rush in rushes if rush.server == name]
        each = [1e6 * rush.server_cpu_s / len(rush.answered_s) for rush in ours]
        half, last = [statistics.median(rush.answered_s) for rush in ours], [rush.last_s for rush in ours]
        failures = sum(rush.failures for rush in ours)
        lines.append(f"| {name} | {_spread(half, 1)} | {_spread(last, 1)} | {failures} | {_spread(each, 0)} |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
