"""Join tokens as text: a secret, who may join with it, and the authorities by which the coordinator is known.

A newcomer so verifies the coordinator before it says the secret, and trusts nobody at first sight.
"""

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.identity.certificates import digest_of, read_bundle, write_bundle

_PREFIX: Final = "bwjoin"
_ADVICE: Final = "this is no join token: copy the whole word that `bandwatch join-tokens create` printed"


@dataclass(frozen=True)
class JoinToken:
    """What a newcomer is handed; `member` is empty where it may choose its name."""

    secret: str
    member: str
    authorities: bytes

    @classmethod
    def make(cls, member: str, authorities: bytes) -> Self:
        """Return a token with a new secret of 256 bits."""
        return cls(secrets.token_urlsafe(32), member, authorities)

    @property
    def digest(self) -> str:
        """What is kept of it."""
        return secret_digest(self.secret)

    def to_text(self) -> str:
        """Return the token as one word."""
        authorities = [certificate.public_bytes(Encoding.DER) for certificate in read_bundle(self.authorities)]
        parts = [base64.urlsafe_b64encode(part).decode() for part in (self.member.encode(), *authorities)]
        return ".".join([_PREFIX, self.secret, *parts])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a token.

        Raises:
            InvalidArgumentError: It is none.
        """
        prefix, _, rest = text.strip().partition(".")
        parts = rest.split(".")
        try:
            secret, member, *authorities = parts[0], *(_decoded(part) for part in parts[1:])
            if prefix == _PREFIX and secret and authorities:
                bundle = write_bundle(x509.load_der_x509_certificate(authority) for authority in authorities)
                return cls(secret, member.decode(), bundle)
        except (ValueError, IndexError) as error:
            raise InvalidArgumentError(_ADVICE) from error
        raise InvalidArgumentError(_ADVICE)


def read_join_token(text: str, file: Path | None) -> JoinToken:
    """Return the token that was given as text or in a file.

    Raises:
        InvalidArgumentError: It is none, or not exactly one was given.
        NotFoundError: The file cannot be read.
    """
    if bool(text) == (file is not None):
        raise InvalidArgumentError("give the join token either with --token or with --token-file")
    try:
        return JoinToken.from_text(text or (file.read_text() if file else ""))
    except OSError as error:
        raise NotFoundError(f"the join token in {file} cannot be read: {error.strerror}") from error


def secret_digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return digest_of(secret.encode())


def _decoded(part: str) -> bytes:
    return base64.b64decode(part, altchars=b"-_", validate=True)
