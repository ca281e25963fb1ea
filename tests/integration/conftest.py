"""A real PostgreSQL and a real Redis for the session, and a real coordinator for each test."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import grpc.aio
import psycopg
import pytest
from sqlalchemy.engine import make_url

from bandwatch.artifacts.keys import make_keys
from bandwatch.wire.channel import open_channel
from bandwatch.wire.v1 import admin_service_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceStub
from coordinator import app
from coordinator.registry import schema
from coordinator.settings import CoordinatorSettings
from infra.local.postgres import LocalPostgres
from infra.local.redis_server import redis_program
from infra.local.supervisor import Supervisor

if TYPE_CHECKING:  # these names exist in the stubs only
    from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceAsyncStub
    from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceAsyncStub
    from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceAsyncStub


@dataclass(frozen=True)
class Servers:
    """Where the session's servers answer."""

    postgres_url: str
    redis_url: str


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Run PostgreSQL and Redis from their Python packages, in a folder that PostgreSQL's user can enter."""
    with TemporaryDirectory(prefix="bandwatch-test-") as folder:
        yield from _served(Path(folder).resolve())


def _served(root: Path) -> Iterator[Servers]:
    supervisor = Supervisor(root / "logs", lambda _line: None, lambda: None)
    postgres = LocalPostgres(root / "postgres")
    never = threading.Event()
    (root / "logs").mkdir()
    (root / "redis").mkdir()
    redis, redis_url = redis_program(root / "redis")
    try:
        supervisor.start(postgres.prepare(), never)
        supervisor.start(redis, never)
        yield Servers(postgres.url, redis_url)
    finally:
        supervisor.stop()
        postgres.clean_up()


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """Give a database of its own to a test."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield make_url(servers.postgres_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Coordinator:
    """A coordinator that serves, and ways to call it."""

    address: str
    settings: CoordinatorSettings

    def token(self, role: str) -> str:
        """Return the shared token of operators or workers."""
        file = self.settings.operator_token_file if role == "operator" else self.settings.worker_token_file
        return file.read_text().strip()

    @asynccontextmanager
    async def channel(self, token: str) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel with a token."""
        async with open_channel(self.address, token) as channel:
            yield channel

    @asynccontextmanager
    async def admin(self) -> "AsyncIterator[AdminServiceAsyncStub]":
        """Call as an operator."""
        async with self.channel(self.token("operator")) as channel:
            yield AdminServiceStub(channel)

    @asynccontextmanager
    async def training(self) -> "AsyncIterator[TrainingServiceAsyncStub]":
        """Call as a worker."""
        async with self.channel(self.token("worker")) as channel:
            yield TrainingServiceStub(channel)

    @asynccontextmanager
    async def observer(self, token: str) -> "AsyncIterator[ObserverServiceAsyncStub]":
        """Call as an observer."""
        async with self.channel(token) as channel:
            yield ObserverServiceStub(channel)


@dataclass(frozen=True)
class Network:
    """One band with two cells, one observer in each, and the observers' tokens."""

    tokens: dict[str, str]


class StartCoordinator(Protocol):
    """Starts a coordinator with settings of the test's own."""

    def __call__(self, **settings: object) -> AbstractAsyncContextManager[Coordinator]:
        """Serve until the block ends; settings are fields of CoordinatorSettings."""
        ...  # a protocol has no body


@pytest.fixture
def start_coordinator(servers: Servers, database_url: str, tmp_path: Path) -> StartCoordinator:
    """Give a function that serves on the test's own database; a second call serves the same one again."""
    keys = tmp_path / "keys"
    make_keys(keys)

    @asynccontextmanager
    async def start(**changes: object) -> AsyncIterator[Coordinator]:
        plain: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "database_url": database_url,
            "redis_url": servers.redis_url,
            "blob_dir": tmp_path / "blobs",
            "signing_key_file": keys / "signing.key",
            "operator_token_file": keys / "operator.token",
            "worker_token_file": keys / "worker.token",
            **changes,
        }
        settings = CoordinatorSettings.model_validate(plain)
        schema.migrate(settings.sqlalchemy_url())
        async with app.running(settings) as port:
            yield Coordinator(f"127.0.0.1:{port}", settings)

    return start


@pytest.fixture
async def coordinator(start_coordinator: StartCoordinator) -> AsyncIterator[Coordinator]:
    """Serve with default settings."""
    async with start_coordinator() as serving:
        yield serving


@pytest.fixture
async def network(coordinator: Coordinator) -> Network:
    """Register band north, cells oak and elm, and observers roof (oak) and van (elm)."""
    async with coordinator.admin() as admin:
        band = spectrum_pb2.Band(center_hz=881.5e6, width_hz=5e6, direction=spectrum_pb2.LINK_DIRECTION_DOWNLINK)
        await admin.CreateBand(admin_service_pb2.CreateBandRequest(band_id="north", band=band))
        tokens = {}
        for cell, observer, mobility in (
            ("oak", "roof", spectrum_pb2.MOBILITY_STATIC),
            ("elm", "van", spectrum_pb2.MOBILITY_DRIVING),
        ):
            await admin.CreateCell(
                admin_service_pb2.CreateCellRequest(cell_id=cell, cell=spectrum_pb2.Cell(band="bands/north"))
            )
            made = await admin.CreateObserver(
                admin_service_pb2.CreateObserverRequest(
                    observer_id=observer,
                    observer=admin_service_pb2.Observer(cell=f"cells/{cell}", mobility=mobility),
                )
            )
            tokens[observer] = made.token
    return Network(tokens)
