"""Certificates as everybody reads them: bundles of authorities, digests, and until when one is good."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bandwatch.errors import InvalidArgumentError

CLOCK_LEAD = timedelta(minutes=10)
"""Certificates are good from a little before they were made, since clocks differ."""
RENEWAL_SHARE = 1 / 3
"""A certificate is renewed when this share of its time is left."""


def read_certificate(pem: bytes) -> x509.Certificate:
    """Read one certificate in PEM form.

    Raises:
        InvalidArgumentError: It is none.
    """
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise InvalidArgumentError("this is no certificate in PEM form") from error


def read_bundle(pem: bytes) -> list[x509.Certificate]:
    """Read certificates in PEM form, one after another.

    Raises:
        InvalidArgumentError: There is none, or one is damaged.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise InvalidArgumentError("these are no certificates in PEM form") from error


def write_bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return certificates in PEM form, one after another."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the digest by which a certificate is known."""
    return digest_of(certificate.public_bytes(Encoding.DER))


def made_at(certificate: x509.Certificate) -> datetime:
    """Return when a certificate was signed."""
    return certificate.not_valid_before_utc + CLOCK_LEAD


def renewal_at(certificate: x509.Certificate) -> datetime:
    """Return from when on a certificate should be renewed."""
    end = certificate.not_valid_after_utc
    return end - (end - made_at(certificate)) * RENEWAL_SHARE


def time_left(certificate: x509.Certificate) -> timedelta:
    """Return how long a certificate is good from now on; negative once it has expired."""
    return certificate.not_valid_after_utc - datetime.now(UTC)
