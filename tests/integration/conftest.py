"""A real PostgreSQL and a real Redis for the session, and a real coordinator for each test."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
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
from bandwatch.errors import NotFoundError
from bandwatch.identity.identity_files import Identity, load_identity
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.identity.keyring import make_authority
from bandwatch.wire.channel import member_credentials, newcomer_credentials, open_channel, operator_credentials
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.v1 import admin_service_pb2, authority_pb2, identity_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from bandwatch.wire.v1.observer_service_pb2_grpc import ObserverServiceStub
from bandwatch.wire.v1.training_service_pb2_grpc import TrainingServiceStub
from coordinator import app
from coordinator.registry import schema
from coordinator.registry.callers import Role
from coordinator.registry.session import Registry
from coordinator.services.identity import operators
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
        _forget_power_losses(postgres.url)
        yield Servers(postgres.url, redis_url)
    finally:
        supervisor.stop()
        postgres.clean_up()


def _forget_power_losses(url: str) -> None:
    """Let a database that lives only as long as the tests skip what only a loss of power needs."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def migrated_database(servers: Servers) -> str:
    """Give the name of a database of this version's schema, which others are copied from."""
    name = "migrated"
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    schema.migrate(make_url(servers.postgres_url).set(database=name, drivername="postgresql+psycopg"))
    return name


@pytest.fixture
def empty_database_url(servers: Servers) -> Iterator[str]:
    """Give a database of its own, with nothing in it, to a test."""
    with _database(servers, "template1") as url:
        yield url


@pytest.fixture
def database_url(servers: Servers, migrated_database: str) -> Iterator[str]:
    """Give a database of its own, of this version's schema, to a test."""
    with _database(servers, migrated_database) as url:
        yield url


@contextmanager
def _database(servers: Servers, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield make_url(servers.postgres_url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@dataclass(frozen=True)
class Coordinator:
    """A coordinator that serves, and ways to call it."""

    address: str
    member_address: str
    settings: CoordinatorSettings
    folder: Path
    """Where the identities of members are kept."""

    @property
    def operator_token(self) -> str:
        """The token of an admin."""
        return (self.settings.keys_dir / "operator.token").read_text().strip()

    @property
    def authorities(self) -> bytes:
        """The authorities by which the coordinator is known."""
        return (self.settings.keys_dir / "authorities.pem").read_bytes()

    async def enroll(self, token: str, name: str = "") -> Identity:
        """Enrol a member as its program does."""
        opened = JoinToken.from_text(token)
        folder = self.folder / (name or opened.member)
        return await asyncio.to_thread(enroll, self.address, opened, name, folder)

    async def worker(self, name: str = "workers/w1") -> Identity:
        """Return the identity of a worker, which enrols at the first call."""
        try:
            return load_identity(self.folder / name, "")
        except NotFoundError:
            pass
        async with self.admin() as admin:
            wanted = identity_pb2.JoinToken(role=authority_pb2.ROLE_WORKER, member=name)
            made = await admin.CreateJoinToken(identity_pb2.CreateJoinTokenRequest(join_token=wanted))
        return await self.enroll(made.token)

    def open_channel(self, token: str | None = None) -> grpc.aio.Channel:
        """Open a channel with an operator's token, or with nothing."""
        bare = newcomer_credentials(self.authorities)
        return open_channel(self.address, bare if token is None else operator_credentials(self.authorities, token))

    @asynccontextmanager
    async def admin(self) -> "AsyncIterator[AdminServiceAsyncStub]":
        """Call as an operator."""
        async with self.open_channel(self.operator_token) as channel:
            yield AdminServiceStub(channel)

    @asynccontextmanager
    async def training(self, worker: str = "workers/w1") -> "AsyncIterator[TrainingServiceAsyncStub]":
        """Call as a worker."""
        async with open_channel(self.member_address, member_credentials(await self.worker(worker))) as channel:
            yield TrainingServiceStub(channel)

    @asynccontextmanager
    async def observer(self, identity: Identity) -> "AsyncIterator[ObserverServiceAsyncStub]":
        """Call as an observer."""
        async with open_channel(self.member_address, member_credentials(identity)) as channel:
            yield ObserverServiceStub(channel)


@dataclass(frozen=True)
class Network:
    """One band with two cells, one observer in each, and by what the observers prove themselves."""

    tokens: dict[str, Identity]


class StartCoordinator(Protocol):
    """Starts a coordinator with settings of the test's own."""

    def __call__(self, **settings: object) -> AbstractAsyncContextManager[Coordinator]:
        """Serve until the block ends; settings are fields of CoordinatorSettings."""
        ...  # a protocol has no body


async def make_admin(settings: CoordinatorSettings) -> None:
    """Make the operator whose token lies beside the keys."""
    registry = Registry(settings.sqlalchemy_url(), connections=1)
    async with registry.transaction() as session:
        token = (settings.keys_dir / "operator.token").read_text().strip()
        await operators.put(session, "tester", Role.ADMIN, token)
    await registry.close()


@pytest.fixture
def start_coordinator(servers: Servers, database_url: str, tmp_path: Path) -> StartCoordinator:
    """Give a function that serves on the test's own database; a second call serves the same one again."""
    keys = tmp_path / "keys"
    make_keys(keys)
    make_authority(keys)
    (keys / "operator.token").write_text(secrets.token_urlsafe(32))

    @asynccontextmanager
    async def start(**changes: object) -> AsyncIterator[Coordinator]:
        plain: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "database_url": database_url,
            "redis_url": servers.redis_url,
            "blob_dir": tmp_path / "blobs",
            "signing_key_file": keys / "signing.key",
            "timestamp_key_file": keys / "timestamp.key",
            "release_root_file": keys / "release-root.json",
            "member_listen": "127.0.0.1:0",
            "keys_dir": keys,
            **changes,
        }
        settings = CoordinatorSettings.model_validate(plain)
        schema.migrate(settings.sqlalchemy_url())
        await make_admin(settings)
        async with app.running(settings) as ports:
            yield Coordinator(f"127.0.0.1:{ports.open}", f"127.0.0.1:{ports.members}", settings, tmp_path / "members")

    return start


@pytest.fixture
async def coordinator(start_coordinator: StartCoordinator) -> AsyncIterator[Coordinator]:
    """Serve with default settings."""
    async with start_coordinator() as serving:
        yield serving


@pytest.fixture
async def network(coordinator: Coordinator) -> Network:
    """Register band north, cells oak and elm, and the trusted observers roof (oak) and van (elm)."""
    return await make_network(coordinator)


async def make_network(coordinator: Coordinator) -> Network:
    """Register what the fixture of that name gives."""
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
                    observer=admin_service_pb2.Observer(
                        cell=f"cells/{cell}", mobility=mobility, trust=spectrum_pb2.TRUST_TRUSTED
                    ),
                )
            )
            tokens[observer] = await coordinator.enroll(made.join_token)
    return Network(tokens)
