"""Limits, keep-alive and identity of every connection: set here for both ends, and nowhere else."""

from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio

from bandwatch.identity.identity_files import Identity

LARGEST_MESSAGE_BYTES: Final = 8 << 20
"""A segment of 2 MB with room to refuse larger ones one by one, without breaking the stream they came on."""
CALL_DEADLINE_S: Final = 30.0
"""Deadline of a unary call."""
AUTHORIZATION: Final = "authorization"

_KEEPALIVE_MS: Final = 60_000
_LIMITS: Final[list[tuple[str, int]]] = [
    ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
]
SERVER_OPTIONS: Final[list[tuple[str, int]]] = [
    *_LIMITS,
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Clients ping every 60 s; the default of 5 minutes would cut them off for "too many pings".
    ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
    ("grpc.max_concurrent_streams", 100),
    ("grpc.max_connection_age_ms", 3_600_000),
    # Above the longest call, so that ageing never breaks one.
    ("grpc.max_connection_age_grace_ms", 600_000),
]
_CLIENT_OPTIONS: Final[list[tuple[str, int]]] = [
    *_LIMITS,
    ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 250),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.enable_http_proxy", 0),
]


class _BearerToken(grpc.AuthMetadataPlugin):
    def __init__(self, token: str) -> None:
        self._metadata = ((AUTHORIZATION, f"Bearer {token}"),)

    def __call__(
        self,
        _context: grpc.AuthMetadataContext,
        callback: Callable[[tuple[tuple[str, str], ...], Exception | None], None],
    ) -> None:
        callback(self._metadata, None)


def operator_credentials(authorities: bytes, token: str) -> grpc.ChannelCredentials:
    """Return credentials of an operator, who sends a token with every call once the coordinator has proved itself."""
    return grpc.composite_channel_credentials(
        newcomer_credentials(authorities), grpc.metadata_call_credentials(_BearerToken(token))
    )


def member_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Return credentials of an observer or worker, which proves itself by its certificate."""
    return grpc.ssl_channel_credentials(identity.authorities, identity.key, identity.certificate)


def newcomer_credentials(authorities: bytes) -> grpc.ChannelCredentials:
    """Return credentials that verify the coordinator and say nothing of the caller."""
    return grpc.ssl_channel_credentials(authorities)


def server_credentials(
    configuration: Callable[[], grpc.ServerCertificateConfiguration], *, members_only: bool
) -> grpc.ServerCredentials:
    """Return credentials of a server; `configuration` is asked before every new connection.

    With `members_only`, who has no certificate of a trusted authority gets no connection.
    """
    shown = configuration()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        """Return nothing as long as nothing changed.

        gRPC replaces what it has by whatever comes, also by the same again, and connections that are being made at that
        moment in other threads then break, up to the end of the process.
        """
        nonlocal shown
        newest = configuration()
        if newest is shown:
            return None
        shown = newest
        return newest

    # The stubs do not know that nothing may be returned.
    return grpc.dynamic_ssl_server_credentials(shown, changed, members_only)  # type: ignore[arg-type]


def open_channel(target: str, credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
    """Open an asyncio channel to a coordinator."""
    return grpc.aio.secure_channel(target, credentials, options=_CLIENT_OPTIONS)


def open_blocking_channel(target: str, credentials: grpc.ChannelCredentials) -> grpc.Channel:
    """Open a blocking channel to a coordinator."""
    return grpc.secure_channel(target, credentials, options=_CLIENT_OPTIONS)
