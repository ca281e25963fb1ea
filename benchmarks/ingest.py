"""Uploads through the coordinator against a bare stream that writes each message to a file, syncs it and answers.

Both servers are processes of their own, behind the same gRPC limits, and keep their files in one folder. One client
sends both the same segments, with as many bytes under way on each stream as an agent may have. The coordinator
authenticates, validates, checks the digest, makes the blob durable under its name, commits a row in its own PostgreSQL
and answers; the bare server does what its name says, with messages that it never looks into. They take turns, and a
first round is not counted: in it the coordinator makes its folders, and both open their connections.

With --nats, the same messages are published to NATS JetStream as well, whose streams are on disk; its server takes
messages of at most 1 MB unless told otherwise, and is left out where they are larger.
"""

import argparse
import asyncio
import hashlib
import json
import os
import secrets
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import numpy as np

from bandwatch.identity.identity_files import Identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.identity.keyring import load_keyring
from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.wire.channel import (
    SERVER_OPTIONS,
    member_credentials,
    open_channel,
    operator_credentials,
    server_credentials,
)
from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.serving import ServerCertificate
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from bandwatch.wire.v1.observer_service_pb2 import UPLOAD_OUTCOME_STORED, UploadSegmentsRequest, UploadSegmentsResponse
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from benchmarks import jetstream
from infra.local.child import Program
from infra.local.options import StackOptions
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import LocalStack
from infra.local.supervisor import Supervisor

FRAMES: Final = {"0.5 MB": 3906, "2 MB": 15_625}
STREAMS: Final = (1, 10)
UNDER_WAY_BYTES: Final = 8 << 20
"""The agent's default, and the credit that the coordinator gives by default."""

JETSTREAM: Final = "JetStream"

Requests = list[UploadSegmentsRequest]


@dataclass(frozen=True)
class Upload:
    """One upload of all segments: through which server, in which form, and how fast."""

    server: str
    size: str
    streams: int
    megabytes_per_s: float


@dataclass(frozen=True)
class Target:
    """A server, and an observer for each stream; both servers know the same members."""

    name: str
    address: str
    observers: tuple[Identity, ...]


def main() -> None:
    """Run the comparison and print it as a Markdown table."""
    options = _parse()
    if options.bare_server:
        asyncio.run(_serve_bare(options.bare_server, options.folder, options.keys))
        return
    with (
        tempfile.TemporaryDirectory(dir=options.folder, prefix="bandwatch-ingest-") as folder,
        LocalStack(StackOptions(Path(folder) / "stack", port=0, workers=0)) as stack,
        _bare_server(Path(folder), stack.folder.keys) as bare,
    ):
        tokens = asyncio.run(_register(stack))
        observers = tuple(enroll(stack.address, token, "", Path(folder) / token.member) for token in tokens)
        targets = (Target("coordinator", observers[0].address, observers), Target("bare", bare, observers))
        rounds = [list(_round(targets, options.megabytes, options.nats)) for _ in range(1 + options.repeats)]
    uploads = [upload for one in rounds[1:] for upload in one]
    print(_table(uploads))
    if options.json:
        options.json.write_text(json.dumps([asdict(upload) for upload in uploads], indent=1))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--megabytes", type=int, default=80, help="in one upload; a repeat leaves eight times that on disk"
    )
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the system's temporary one when absent")
    parser.add_argument("--nats", metavar="URL", help="a NATS server with JetStream, to be compared as well")
    parser.add_argument("--json", type=Path, help="file for every single figure")
    parser.add_argument("--keys", type=Path, help="keys by which the bare server proves itself")
    parser.add_argument("--bare-server", metavar="ADDRESS", help="be the bare server, which writes to the folder")
    return parser.parse_args()


async def _serve_bare(address: str, folder: Path, keys: Path) -> None:
    answer = UploadSegmentsResponse(outcome=UPLOAD_OUTCOME_STORED).SerializeToString()

    def store(message: bytes) -> None:
        with (folder / secrets.token_hex(16)).open("wb") as file:
            file.write(message)
            file.flush()
            os.fsync(file.fileno())

    async def upload(messages: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            await asyncio.to_thread(store, message)
            yield answer

    service = observer_service_pb2.DESCRIPTOR.services_by_name["ObserverService"].full_name
    handlers: dict[str, Any] = {"UploadSegments": grpc.stream_stream_rpc_method_handler(upload)}
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    certificate = ServerCertificate(partial(load_keyring, keys), [LOOPBACK])
    server.add_secure_port(address, server_credentials(certificate.configuration, members_only=True))
    await server.start()
    await server.wait_for_termination()


@contextmanager
def _bare_server(folder: Path, keys: Path) -> Iterator[str]:
    """Run the bare server while the block lasts, and give its address."""
    files, logs, port = folder / "bare", folder / "logs", free_port()
    files.mkdir()
    logs.mkdir()
    address = f"{LOOPBACK}:{port}"
    command = (sys.executable, __file__, "--bare-server", address, "--folder", str(files), "--keys", str(keys))
    supervisor = Supervisor(logs, lambda _: None, lambda: None)
    try:
        supervisor.start(Program("bare", command, is_healthy=partial(_listens, port)), threading.Event())
        yield address
    finally:
        supervisor.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


async def _register(stack: LocalStack) -> list[JoinToken]:
    """Create a cell with an observer for each stream, and return their join tokens."""
    credentials = operator_credentials(stack.authorities, stack.operator_token)
    async with open_channel(stack.address, credentials) as channel:
        admin = AdminServiceStub(channel)
        band = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6, direction=spectrum_pb2.LINK_DIRECTION_DOWNLINK)
        await admin.CreateBand(admin_service_pb2.CreateBandRequest(band_id="north", band=band))
        cell = spectrum_pb2.Cell(band="bands/north")
        await admin.CreateCell(admin_service_pb2.CreateCellRequest(cell_id="oak", cell=cell))
        tokens = []
        for number in range(max(STREAMS)):
            observer = admin_service_pb2.Observer(cell="cells/oak", mobility=spectrum_pb2.MOBILITY_STATIC)
            request = admin_service_pb2.CreateObserverRequest(observer_id=f"o{number}", observer=observer)
            tokens.append(JoinToken.from_text((await admin.CreateObserver(request)).join_token))
    return tokens


def _round(targets: Sequence[Target], megabytes: int, nats: str | None) -> Iterator[Upload]:
    """Upload in every form to every server once."""
    for size, frames in FRAMES.items():
        for streams in STREAMS:
            count = max(1, round(megabytes * 1e6 / streams / (frames * FRAME_BINS)))
            requests = [_segments(f"observers/o{number}", count, frames) for number in range(streams)]
            ways = {target.name: partial(_upload_all, target, requests) for target in targets}
            if nats and asyncio.run(jetstream.takes(nats, requests[0][0].ByteSize())):
                messages = [[request.SerializeToString() for request in stream] for stream in requests]
                ways[JETSTREAM] = partial(jetstream.publish_all, nats, messages, UNDER_WAY_BYTES)
            for name, upload in ways.items():
                os.sync()  # none writes what another left in memory
                begin_s = time.perf_counter()
                asyncio.run(upload())
                seconds = time.perf_counter() - begin_s
                yield Upload(name, size, streams, streams * count * frames * FRAME_BINS / 1e6 / seconds)


def _segments(observer: str, count: int, frames: int) -> Requests:
    """Return segments of an observer that has just started anew, each with codes of its own."""
    boot = secrets.token_hex(16)
    noise = np.random.default_rng(0).integers(60, 140, (frames, FRAME_BINS), dtype=np.uint8).tobytes()
    requests = []
    for sequence in range(1, count + 1):
        mark = f"{boot}{sequence:016}".encode()
        codes = mark + noise[len(mark) :]
        segment = spectrum_pb2.Segment(
            observer=observer,
            origin=spectrum_pb2.Origin(boot_id=boot, sequence=sequence),
            cell="cells/oak",
            start_time=to_timestamp(datetime.now(UTC) - timedelta(minutes=1)),
            frame_count=frames,
            reference_dbm=-120.0,
            purpose=spectrum_pb2.PURPOSE_TRAINING,
            quality=spectrum_pb2.ReceptionQuality(),
            codes_digest=hashlib.sha256(codes).hexdigest(),
        )
        requests.append(UploadSegmentsRequest(segment=segment, codes=codes))
    return requests


async def _upload_all(target: Target, requests: Sequence[Requests]) -> None:
    async with asyncio.TaskGroup() as group:
        for observer, stream in zip(target.observers, requests, strict=False):
            group.create_task(_upload(target.address, observer, stream))


async def _upload(address: str, observer: Identity, requests: Requests) -> None:
    """Write segments as long as there is room for their bytes, and read an answer where there is none."""
    async with open_channel(address, member_credentials(observer)) as channel:
        call = ObserverServiceStub(channel).UploadSegments()
        under_way: deque[int] = deque()

        async def settle_one() -> None:
            response = await call.read()
            assert isinstance(response, UploadSegmentsResponse), "the stream ended early"
            assert response.outcome == UPLOAD_OUTCOME_STORED, response.reason
            under_way.popleft()

        for request in requests:
            while under_way and sum(under_way) + len(request.codes) > UNDER_WAY_BYTES:
                await settle_one()
            await call.write(request)
            under_way.append(len(request.codes))
        await call.done_writing()
        while under_way:
            await settle_one()


def _table(uploads: Sequence[Upload]) -> str:
    """Return medians, with the least and the most in brackets."""
    others = [name for name in ("bare", JETSTREAM) if any(one.server == name for one in uploads)]
    columns = [f"{name}, MB/s" for name in ("coordinator", *others)] + [f"coordinator of {name}, %" for name in others]
    lines = [f"| segments | streams | {' | '.join(columns)} |", "| --- " * (2 + len(columns)) + "|"]
    for size in FRAMES:
        for streams in STREAMS:
            speeds = {
                name: [
                    one.megabytes_per_s
                    for one in uploads
                    if (one.server, one.size, one.streams) == (name, size, streams)
                ]
                for name in ("coordinator", *others)
            }
            shares = [
                [100 * our / their for our, their in zip(speeds["coordinator"], speeds[name], strict=False)]
                for name in others
            ]
            lines.append(f"| {size} | {streams} | {' | '.join(map(_spread, (*speeds.values(), *shares)))} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


if __name__ == "__main__":
    main()
