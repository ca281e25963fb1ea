"""What a server shows of itself: a certificate that is made in memory and renewed while it serves."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bandwatch.identity.certificates import renewal_at
from bandwatch.identity.keyring import Keyring
from bandwatch.identity.requests import key_to_pem, make_key

SERVER_LIFETIME: Final = timedelta(days=30)
_LOOK_S: Final = 1.0
"""How old what is known of the authorities may be."""


class ServerCertificate:
    """The certificate of a server, and whom it trusts; both follow the authorities without a restart."""

    def __init__(self, read_keyring: Callable[[], Keyring], names: Sequence[str]) -> None:
        self._read_keyring = read_keyring
        self._names = names
        self._keyring = read_keyring()
        self._read_at_s = time.monotonic()
        self._made = self._make()

    @property
    def keyring(self) -> Keyring:
        """The authorities as they were within the last second."""
        if time.monotonic() - self._read_at_s > _LOOK_S:
            self._read_anew()
        return self._keyring

    def _read_anew(self) -> None:
        self._keyring = self._read_keyring()
        self._read_at_s = time.monotonic()

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """Return what the next connection is to see, by the authorities of this very moment."""
        self._read_anew()
        certificate, digest, _ = self._made
        if digest != self._keyring.digest or datetime.now(UTC) > renewal_at(certificate):
            self._made = self._make()
        return self._made[2]

    def _make(self) -> tuple[x509.Certificate, str, grpc.ServerCertificateConfiguration]:
        keyring, key = self._keyring, make_key()
        certificate = keyring.current.issue_server(key.public_key(), self._names, SERVER_LIFETIME)
        pair = (key_to_pem(key), certificate.public_bytes(Encoding.PEM))
        return certificate, keyring.digest, grpc.ssl_server_certificate_configuration([pair], keyring.authorities)
