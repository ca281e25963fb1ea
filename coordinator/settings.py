"""Every setting of the coordinator, read once from the environment: BANDWATCH_COORDINATOR_..."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

ENVIRONMENT_PREFIX: Final = "BANDWATCH_COORDINATOR_"

_YEAR_S: Final = 365 * 86_400.0
"""Above any sensible time, and below what the calendar can add."""
_LARGEST_PORT: Final = 65_535

Seconds = Annotated[float, Field(gt=0, le=_YEAR_S)]


class CoordinatorSettings(BaseSettings):
    """Where the coordinator listens and stores, and its limits."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    listen: str = Field("127.0.0.1:50051", description="Loopback address and port of the gRPC server.")
    database_url: str = Field(
        "postgresql://postgres@127.0.0.1:5432/bandwatch", description="PostgreSQL, which holds every registry."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis, which only wakes training workers.")
    blob_dir: Path = Field(Path("bandwatch-data/blobs"), description="Folder of segments and models.")
    signing_key_file: Path = Field(
        Path("bandwatch-data/keys/signing.key"), description="Ed25519 private key that signs releases."
    )
    operator_token_file: Path = Field(
        Path("bandwatch-data/keys/operator.token"), description="File with the token of operators."
    )
    worker_token_file: Path = Field(
        Path("bandwatch-data/keys/worker.token"), description="File with the token of training workers."
    )
    database_connections: Annotated[int, Field(ge=1, le=1000, description="Connections to PostgreSQL.")] = 10
    clock_lead_s: Annotated[
        float, Field(ge=0, le=_YEAR_S, description="How far in the future a segment or window may lie, in seconds.")
    ] = 5.0
    upload_credit_bytes: Annotated[
        int, Field(gt=0, description="Bytes of segments that one observer may have in flight.")
    ] = 8 << 20
    poll_s: Seconds = Field(60.0, description="Seconds between two calls of Sync by one agent.")
    watch_limit: Annotated[int, Field(ge=0, description="Watch streams held at the same time.")] = 1000
    lease_s: Seconds = Field(60.0, description="Seconds that a worker holds a run without renewing.")
    attempts: Annotated[int, Field(ge=1, description="Attempts before a training run counts as failed.")] = 3
    republish_s: Seconds = Field(
        30.0, description="Seconds after which an unclaimed run is announced to workers again."
    )
    clipped_share_limit: Annotated[
        float, Field(ge=0, le=1, description="Segments with a larger share of clipped samples do not train.")
    ] = 0.1
    anomalous_share_limit: Annotated[
        float, Field(ge=0, le=1, description="Segments with a larger share of anomalous windows do not train.")
    ] = 0.1
    teacher_data_s: Seconds = Field(7200.0, description="Newest seconds of data that one teacher learns from.")
    student_data_s: Seconds = Field(300.0, description="Newest seconds of data that one student is refitted on.")

    @field_validator("listen")
    @classmethod
    def _only_loopback(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not (_is_loopback(host) and port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT):
            raise ValueError(
                "listen must be a loopback address and a port, such as 127.0.0.1:50051: "
                "tokens would otherwise travel a network in plain text"
            )
        return listen

    @field_validator("database_url")
    @classmethod
    def _only_postgresql(cls, database_url: str) -> str:
        try:
            backend = make_url(database_url).get_backend_name()
        except (ArgumentError, ValueError):
            backend = "none"
        if backend not in {"postgresql", "postgres"}:
            raise ValueError("database_url must look like postgresql://USER:PASSWORD@HOST:PORT/DATABASE")
        return database_url

    @property
    def lease(self) -> timedelta:
        """How long a claim on a run lasts unless it is renewed."""
        return timedelta(seconds=self.lease_s)

    def sqlalchemy_url(self) -> URL:
        """Return the database URL with the driver that the coordinator uses."""
        return make_url(self.database_url).set(drivername="postgresql+psycopg")


def _is_loopback(host: str) -> bool:
    """Tell whether a host is this machine: localhost, an IPv4 address, or an IPv6 one in brackets."""
    if host == "localhost":
        return True
    in_brackets = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.IPv6Address(host[1:-1]) if in_brackets else ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return address.is_loopback
