"""A coordinator with a fleet of members that need not enrol one by one, and a bare server beside it."""

import asyncio
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import psutil
import psycopg
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.engine import URL

from bandwatch.identity.certificates import fingerprint
from bandwatch.identity.identity_files import Identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.identity.keyring import load_keyring
from bandwatch.identity.requests import key_to_pem, make_key
from bandwatch.wire.channel import SERVER_OPTIONS, open_channel, operator_credentials, server_credentials
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.serving import ServerCertificate
from bandwatch.wire.v1 import admin_service_pb2, observer_service_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from benchmarks.own_database import own_database
from coordinator.services.identity.certificates import serial_text
from infra.local.child import Program
from infra.local.options import StackOptions
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import LocalStack
from infra.local.supervisor import Supervisor

SERVICE: Final = observer_service_pb2.DESCRIPTOR.services_by_name["ObserverService"].full_name
OBSERVERS_IN_CELL: Final = 20
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Fleet:
    """A coordinator that serves, its database, and members by which it may be called."""

    stack: LocalStack
    database: URL
    members: tuple[Identity, ...]

    @property
    def coordinator(self) -> psutil.Process:
        """The coordinator's process."""
        return psutil.Process(self.stack.process("coordinator").pid)

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """Open a connection to the database, in which every statement stands alone."""
        return psycopg.connect(_plain(self.database), autocommit=True)


@contextmanager
def fleet_of(
    count: int, settings: Mapping[str, str], *, database_url: str | None, folder: Path | None
) -> Iterator[Fleet]:
    """Run a coordinator with so many observers in cells of twenty, each with a certificate of its own.

    Settings are those of the coordinator, without the prefix of their variables. All members share one key, which
    spares making thousands and changes nothing for the coordinator.
    """
    os.environ.update({f"BANDWATCH_COORDINATOR_{name}": value for name, value in settings.items()})
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="bandwatch-fleet-") as own,
        own_database(database_url, keep=False) as database,
        LocalStack(StackOptions(Path(own) / "stack", port=0, database_url=_plain(database), workers=0)) as stack,
    ):
        first = enroll(stack.address, asyncio.run(_register_first(stack)), "", Path(own) / "first")
        fleet = Fleet(stack, database, ())
        yield replace(fleet, members=_members(fleet, first, count))


def _plain(database: URL) -> str:
    return database.set(drivername="postgresql").render_as_string(hide_password=False)


async def _register_first(stack: LocalStack) -> JoinToken:
    credentials = operator_credentials(stack.authorities, stack.operator_token)
    async with open_channel(stack.address, credentials) as channel:
        admin = AdminServiceStub(channel)
        band = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6, direction=spectrum_pb2.LINK_DIRECTION_DOWNLINK)
        await admin.CreateBand(admin_service_pb2.CreateBandRequest(band_id="north", band=band))
        await admin.CreateCell(
            admin_service_pb2.CreateCellRequest(cell_id="first", cell=spectrum_pb2.Cell(band="bands/north"))
        )
        observer = admin_service_pb2.Observer(cell="cells/first", mobility=spectrum_pb2.MOBILITY_STATIC)
        request = admin_service_pb2.CreateObserverRequest(observer_id="first", observer=observer)
        return JoinToken.from_text((await admin.CreateObserver(request)).join_token)


def _members(fleet: Fleet, first: Identity, count: int) -> tuple[Identity, ...]:
    """Register observers and sign their certificates as the coordinator would."""
    authority, key = load_keyring(fleet.stack.folder.keys).for_members, make_key()
    signed = [authority.issue_member(key.public_key(), f"observers/o-{number}", _DAY) for number in range(count)]
    expires_at = datetime.now(UTC) + _DAY
    with fleet.connect() as connection:
        connection.execute(
            "INSERT INTO cells (id, title, band_id) SELECT 'c-' || i, '', 'north' FROM generate_series(0, %s) i",
            [count // OBSERVERS_IN_CELL],
        )
        connection.execute(
            "INSERT INTO observers (id, title, cell_id, mobility, training_target, trust, upload_budget_bytes, "
            "revision) SELECT 'o-' || i, '', 'c-' || i / %s, 'static', interval '5 minutes', 'trusted', 0, 1 "
            "FROM generate_series(0, %s - 1) i",
            [OBSERVERS_IN_CELL, count],
        )
        columns = "COPY certificates (serial, member, fingerprint, authority, expires_at) FROM STDIN"
        with connection.cursor() as cursor, cursor.copy(columns) as copy:
            for number, one in enumerate(signed):
                row = (f"observers/o-{number}", fingerprint(one), authority.digest, expires_at)
                copy.write_row((serial_text(one.serial_number), *row))
        connection.execute("ANALYZE")
    return tuple(
        replace(
            first,
            name=f"observers/o-{number}",
            key=key_to_pem(key),
            certificate=one.public_bytes(Encoding.PEM),
        )
        for number, one in enumerate(signed)
    )


def serve_bare(address: str, keys: Path, methods: Mapping[str, Any]) -> None:
    """Be a server with the same TLS and the same limits that answers these methods and does nothing else."""

    async def serve() -> None:
        server = grpc.aio.server(options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, dict(methods)),))
        certificate = ServerCertificate(partial(load_keyring, keys), [LOOPBACK])
        server.add_secure_port(address, server_credentials(certificate.configuration, members_only=True))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(serve())


@contextmanager
def bare_server(script: str, fleet: Fleet) -> Iterator[tuple[str, psutil.Process]]:
    """Run a benchmark's bare server while the block lasts, and give its address and its process."""
    port = free_port()
    address = f"{LOOPBACK}:{port}"
    command = (sys.executable, script, "--bare-server", address, "--keys", str(fleet.stack.folder.keys))
    supervisor = Supervisor(fleet.stack.folder.logs, lambda _: None, lambda: None)
    try:
        supervisor.start(Program("bare", command, is_healthy=partial(_listens, port)), threading.Event())
        yield address, psutil.Process(supervisor.child("bare").pid)
    finally:
        supervisor.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def cpu_s(processes: Iterable[psutil.Process]) -> dict[int, float]:
    """Return the seconds of processor time that each process has taken, of those that still run."""
    found = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found[process.pid] = sum(process.cpu_times()[:2])
    return found


def spent_s(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """Return the processor time that was taken between two looks; one that began in between has taken all of its."""
    return sum(taken - before.get(pid, 0.0) for pid, taken in after.items())
