"""A certificate authority: one key that signs the certificates of a coordinator and of its members."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bandwatch.errors import InvalidArgumentError
from bandwatch.identity.certificates import CLOCK_LEAD, fingerprint, read_bundle
from bandwatch.identity.requests import key_from_pem, key_to_pem, make_key

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
MEMBER_URI: Final = "bandwatch:"
_KEY_END: Final = b"-----END PRIVATE KEY-----\n"


@dataclass(frozen=True)
class Authority:
    """A key and the certificate that it signed for itself."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> Self:
        """Return a new authority."""
        key = make_key()
        made_at = datetime.now(UTC)
        name = _name(f"Bandwatch authority of {made_at:%Y-%m-%d}")
        builder = _builder(name, key.public_key(), made_at, AUTHORITY_LIFETIME).issuer_name(name)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(key, builder.sign(key, SHA256()))

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read an authority: its key, and after it its certificate.

        Raises:
            InvalidArgumentError: It is no such text.
        """
        key, end, certificates = pem.partition(_KEY_END)
        authority = cls(key_from_pem(key + end), read_bundle(certificates)[0])
        if authority.certificate.public_key() != authority.key.public_key():
            raise InvalidArgumentError("the authority's certificate belongs to another key")
        return authority

    def to_pem(self) -> bytes:
        """Return key and certificate in one text, for a file that only its owner can read."""
        return key_to_pem(self.key) + self.certificate.public_bytes(Encoding.PEM)

    @property
    def digest(self) -> str:
        """The digest of the authority's certificate."""
        return fingerprint(self.certificate)

    def issue_member(self, key: ec.EllipticCurvePublicKey, name: str, lifetime: timedelta) -> x509.Certificate:
        """Return a certificate with which an observer or a worker of that name calls."""
        names = [x509.UniformResourceIdentifier(MEMBER_URI + name)]
        return self._issue(key, name, names, ExtendedKeyUsageOID.CLIENT_AUTH, lifetime)

    def issue_server(
        self, key: ec.EllipticCurvePublicKey, names: Iterable[str], lifetime: timedelta
    ) -> x509.Certificate:
        """Return a certificate with which a server answers for these host names and addresses."""
        return self._issue(
            key,
            "Bandwatch coordinator",
            [_server_name(name) for name in names],
            ExtendedKeyUsageOID.SERVER_AUTH,
            lifetime,
        )

    def _issue(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        alternative_names: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
        lifetime: timedelta,
    ) -> x509.Certificate:
        made_at = datetime.now(UTC)
        longest = self.certificate.not_valid_after_utc - made_at
        builder = _builder(_name(name), key, made_at, min(lifetime, longest))
        builder = builder.issuer_name(self.certificate.subject)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for extension, critical in (
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([purpose]), False),
            (x509.SubjectAlternativeName(alternative_names), False),
            (issuer, False),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, made_at: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(made_at - CLOCK_LEAD)
        .not_valid_after(made_at + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _server_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
