"""Every setting of the coordinator, read once from the environment: BANDWATCH_COORDINATOR_..."""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url

ENVIRONMENT_PREFIX: Final = "BANDWATCH_COORDINATOR_"


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
        float, Field(ge=0, description="How far in the future a segment or window may lie, in seconds.")
    ] = 5.0
    upload_credit_bytes: Annotated[
        int, Field(gt=0, description="Bytes of segments that one observer may have in flight.")
    ] = 8 << 20
    poll_s: Annotated[float, Field(gt=0, description="Seconds between two calls of Sync by one agent.")] = 60.0
    watch_limit: Annotated[int, Field(ge=0, description="Watch streams held at the same time.")] = 1000
    lease_s: Annotated[float, Field(gt=0, description="Seconds that a worker holds a run without renewing.")] = 60.0
    attempts: Annotated[int, Field(ge=1, description="Attempts before a training run counts as failed.")] = 3
    republish_s: Annotated[
        float, Field(gt=0, description="Seconds after which an unclaimed run is announced to workers again.")
    ] = 30.0
    clipped_share_limit: Annotated[
        float, Field(ge=0, le=1, description="Segments with a larger share of clipped samples do not train.")
    ] = 0.1
    anomalous_share_limit: Annotated[
        float, Field(ge=0, le=1, description="Segments with a larger share of anomalous windows do not train.")
    ] = 0.1
    teacher_data_s: Annotated[
        float, Field(gt=0, description="Newest seconds of data that one teacher learns from.")
    ] = 7200.0
    student_data_s: Annotated[
        float, Field(gt=0, description="Newest seconds of data that one student is refitted on.")
    ] = 300.0

    @field_validator("listen")
    @classmethod
    def _only_loopback(cls, listen: str) -> str:
        host, colon, port = listen.rpartition(":")
        host = host.strip("[]")
        loopback = host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
        if not (colon and port.isdigit() and loopback):
            raise ValueError(
                "listen must be a loopback address and a port, such as 127.0.0.1:50051: "
                "tokens would otherwise travel a network in plain text"
            )
        return listen

    @property
    def lease(self) -> timedelta:
        """How long a claim on a run lasts unless it is renewed."""
        return timedelta(seconds=self.lease_s)

    def sqlalchemy_url(self) -> URL:
        """Return the database URL with the driver that the coordinator uses."""
        return make_url(self.database_url).set(drivername="postgresql+psycopg")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
