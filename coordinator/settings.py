"""Every setting of the coordinator, read once from the environment: BANDWATCH_COORDINATOR_..."""

import ipaddress
import re
import socket
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

ENVIRONMENT_PREFIX: Final = "BANDWATCH_COORDINATOR_"

_YEAR_S: Final = 365 * 86_400.0
"""Above any sensible time, and below what the calendar can add."""
_LARGEST_PORT: Final = 65_535
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")

Seconds = Annotated[float, Field(gt=0, le=_YEAR_S)]


class CoordinatorSettings(BaseSettings):
    """Where the coordinator listens and stores, and its limits."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    listen: str = Field("127.0.0.1:50051", description="Address and port for newcomers and operators.")
    member_listen: str = Field(
        "127.0.0.1:50052", description="Address and port for observers and workers, which prove themselves."
    )
    metrics_listen: str | None = Field(
        None, description="Address and port where Prometheus reads figures over plain HTTP; nowhere when absent."
    )
    server_names: str = Field(
        "localhost,127.0.0.1,::1",
        description="Names and addresses by which callers know this host, besides its own name, with commas between.",
    )
    keys_dir: Path = Field(Path("bandwatch-data/keys"), description="Folder of the certificate authority.")
    certificate_lifetime_s: Seconds = Field(
        30 * 86_400.0, description="Seconds that a certificate of an observer or worker is good."
    )
    database_url: str = Field(
        "postgresql://postgres@127.0.0.1:5432/bandwatch", description="PostgreSQL, which holds every registry."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis, which only wakes training workers.")
    blob_dir: Path = Field(Path("bandwatch-data/blobs"), description="Folder of segments and models.")
    blob_url: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$",
        description="s3://BUCKET/PREFIX that holds segments and models instead of that folder.",
    )
    s3_endpoint: str | None = Field(
        None, pattern=r"^https?://[^\s/@]+$", description="URL of the S3 server; Amazon's when absent."
    )
    s3_region: str | None = Field(None, description="Region of the bucket; from AWS_REGION when absent.")
    s3_access_key_id: str | None = Field(
        None, description="Access key of the bucket; from AWS_ACCESS_KEY_ID, or the host's role, when absent."
    )
    s3_secret_access_key: SecretStr | None = Field(
        None, description="Secret of that key; from AWS_SECRET_ACCESS_KEY, or the host's role, when absent."
    )
    signing_key_file: Path = Field(
        Path("bandwatch-data/keys/signing.key"), description="Ed25519 private key that signs which releases there are."
    )
    timestamp_key_file: Path = Field(
        Path("bandwatch-data/keys/timestamp.key"), description="Ed25519 private key that signs which of that is newest."
    )
    release_root_file: Path = Field(
        Path("bandwatch-data/keys/release-root.json"), description="Root of trust that a new deployment begins with."
    )
    timestamp_life_s: Seconds = Field(
        86_400.0, description="Seconds after which agents take no new release on what was signed last."
    )
    database_connections: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Connections to PostgreSQL for members and operators; six more are for strangers and guards.",
        ),
    ] = 10
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
    clock_error_limit_s: Annotated[
        float,
        Field(ge=0, le=_YEAR_S, description="Segments of a clock that may be further off, in seconds, do not train."),
    ] = 1.0
    incident_gap_s: Seconds = Field(
        10.0, description="Seconds between events that still make one incident, where their frequencies overlap."
    )
    incident_quiet_s: Seconds = Field(30.0, description="Seconds without events after which an incident has ended.")
    incident_hold_s: Seconds = Field(
        120.0,
        description="Seconds that an event over most of the band waits for a second observer, "
        "while others watch the cell.",
    )
    event_silence_s: Seconds = Field(
        180.0, description="Seconds without news of an event after which it counts as ended."
    )
    webhook_attempts: Annotated[int, Field(ge=1, le=100, description="Times that a message to a webhook is tried.")] = 8
    webhook_timeout_s: Seconds = Field(5.0, description="Seconds that one message to a webhook may take.")
    webhook_retry_base_s: Seconds = Field(
        2.0, description="Longest wait before a message is tried again in seconds; it doubles."
    )
    webhook_retry_cap_s: Seconds = Field(600.0, description="Longest wait between two tries of a message in seconds.")
    rollout_shadow: bool = Field(
        default=False, description="Run every new release in shadow first, beside the active one."
    )
    rollout_few_in_shadow: bool = Field(
        default=True,
        description="Run a release in shadow first where its canaries are too few for statistics to decide.",
    )
    rollout_canary_share: Annotated[
        float, Field(gt=0, le=1, description="Share of the observers that run a new release before it is active.")
    ] = 0.1
    rollout_minimum_windows: Annotated[
        int, Field(ge=1, description="Windows that must be reported of a new release in each stage.")
    ] = 20_000
    rollout_minimum_time_s: Seconds = Field(300.0, description="Least seconds of a new release in each stage.")
    rollout_deadline_s: Seconds = Field(
        86_400.0, description="Seconds in one stage after which a release that has not passed is rolled back."
    )
    rollout_failure_limit: Annotated[
        float, Field(gt=0, lt=1, description="Share of observers that may fail to run a new release.")
    ] = 0.05
    rollout_error_margin_db: Annotated[
        float, Field(gt=0, le=100, description="How much higher than the active release's a new one's error may be.")
    ] = 0.3
    rollout_false_alarm_limit: Annotated[
        float, Field(gt=0, le=1, description="Share of windows that a new release may flag.")
    ] = 0.05
    rollout_grace_s: Seconds = Field(
        180.0, description="Seconds of silence after the offer of a release that count as failure."
    )
    rollout_past_s: Seconds = Field(
        3600.0, description="Seconds before a canary that its observers' own errors are compared with."
    )
    statistics_life_s: Seconds = Field(2_592_000.0, description="Seconds that statistics of observers are kept.")
    teacher_data_s: Seconds = Field(7200.0, description="Newest seconds of data that one teacher learns from.")
    open_runs_limit: Annotated[
        int, Field(ge=1, description="Training runs that may be open at once before policies wait with theirs.")
    ] = 4
    policy_interval_s: Seconds = Field(5.0, description="Seconds between two looks at what policies say is due.")
    policy_rest_s: Seconds = Field(
        3600.0, description="Seconds that a policy waits after a run of a cell that came to nothing."
    )
    health_interval_s: Seconds = Field(10.0, description="Seconds between two comparisons of the observers of a cell.")
    student_data_s: Seconds = Field(300.0, description="Newest seconds of data that one student is refitted on.")

    @field_validator("listen", "member_listen", "metrics_listen")
    @classmethod
    def _address_and_port(cls, listen: str | None) -> str | None:
        if listen is None:
            return None
        host, _, port = listen.rpartition(":")
        if not (_is_host(host) and port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT):
            raise ValueError("write an address of this host and a port, such as 127.0.0.1:50051 or [::]:50051")
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

    def all_server_names(self) -> list[str]:
        """Return every name and address that the server's certificate is for."""
        given = [name.strip() for name in self.server_names.split(",")]
        return list(dict.fromkeys(name for name in (*given, socket.gethostname()) if name))

    def sqlalchemy_url(self) -> URL:
        """Return the database URL with the driver that the coordinator uses."""
        return make_url(self.database_url).set(drivername="postgresql+psycopg")


def _is_host(host: str) -> bool:
    """Tell whether this is a name, an IPv4 address, or an IPv6 one in brackets."""
    if host.startswith("[") and host.endswith("]"):
        try:
            return bool(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return False
    return bool(_HOST.fullmatch(host))
