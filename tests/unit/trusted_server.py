"""An authority for tests that bring their own server: what the server shows, and members that it knows."""

from datetime import timedelta

import grpc

from bandwatch.identity.authority import Authority
from bandwatch.identity.certificates import write_bundle
from bandwatch.identity.identity_files import Identity
from bandwatch.identity.keyring import Keyring
from bandwatch.identity.requests import key_to_pem, make_key
from bandwatch.wire.channel import newcomer_credentials, operator_credentials, server_credentials
from bandwatch.wire.serving import ServerCertificate

KEYRING = Keyring(Authority.make())
_SERVER = ServerCertificate(lambda: KEYRING, ["localhost", "127.0.0.1"])


def trusted_server_credentials(*, members_only: bool = False) -> grpc.ServerCredentials:
    """Return what a server of a test listens with."""
    return server_credentials(_SERVER.configuration, members_only=members_only)


def bearer_credentials(token: str) -> grpc.ChannelCredentials:
    """Return credentials of an operator of that server."""
    return operator_credentials(KEYRING.authorities, token)


def bare_credentials() -> grpc.ChannelCredentials:
    """Return credentials that only verify that server."""
    return newcomer_credentials(KEYRING.authorities)


def member(
    name: str,
    address: str = "127.0.0.1:1",
    *,
    keyring: Keyring = KEYRING,
    lifetime: timedelta = timedelta(days=30),
    release_root: bytes = b"{}",
) -> Identity:
    """Return a member with a certificate of its own."""
    key = make_key()
    certificate = keyring.for_members.issue_member(key.public_key(), name, lifetime)
    return Identity(
        name=name,
        address=address,
        key=key_to_pem(key),
        certificate=write_bundle([certificate]),
        authorities=keyring.authorities,
        release_root=release_root,
    )
