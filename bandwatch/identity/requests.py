"""A member's own key, which never leaves its machine, and the request for a certificate of it (PKCS#10)."""

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from bandwatch.errors import InvalidArgumentError


def make_key() -> ec.EllipticCurvePrivateKey:
    """Return a new random key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key itself, unencrypted: for a file that only its owner can read."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a key.

    Raises:
        InvalidArgumentError: It is no unencrypted key on the curve P-256.
    """
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise InvalidArgumentError("this is no unencrypted private key in PEM form") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidArgumentError("this key is of another kind; one on the curve P-256 is needed")
    return key


def make_request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a request for a certificate of a key, in DER form, signed by that key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256()).public_bytes(Encoding.DER)


def open_request(der: bytes) -> ec.EllipticCurvePublicKey:
    """Return the key of a request whose sender proved to hold it. What else the request says counts for nothing.

    Raises:
        InvalidArgumentError: It is no such request, or one for a key of another kind.
    """
    try:
        request = x509.load_der_x509_csr(der)
        key, proven = request.public_key(), request.is_signature_valid
    except Exception as error:  # parsers of foreign bytes fail in many ways
        raise InvalidArgumentError("certificate_request must be a PKCS#10 request in DER form") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidArgumentError("certificate_request must be for a key on the curve P-256")
    if not proven:
        raise InvalidArgumentError("certificate_request is not signed by the key that it names")
    return key
