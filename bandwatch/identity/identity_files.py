"""The folder of a member's identity: its key, its certificate, whom it trusts, and who it is."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from pydantic import BaseModel, ConfigDict, ValidationError

from bandwatch.errors import CorruptError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.identity.certificates import digest_of, read_bundle, read_certificate
from bandwatch.identity.private_files import write_private
from bandwatch.identity.requests import key_from_pem, make_request

KEY_FILE: Final = "key.pem"
CERTIFICATE_FILE: Final = "certificate.pem"
AUTHORITIES_FILE: Final = "authorities.pem"
RELEASE_ROOT_FILE: Final = "release-root.json"
MEMBER_FILE: Final = "member.json"
"""Written last, removed first: where it is, the rest is whole."""


class _Member(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    address: str


@dataclass(frozen=True)
class Identity:
    """Who a member is: its name, where members call, and what proves both sides."""

    name: str
    address: str
    key: bytes
    certificate: bytes
    authorities: bytes
    release_root: bytes

    @property
    def authorities_digest(self) -> str:
        """The digest of whom the member trusts."""
        return digest_of(self.authorities)

    @property
    def own_certificate(self) -> x509.Certificate:
        """The certificate, to be looked into."""
        return read_certificate(self.certificate)

    @property
    def good_until(self) -> str:
        """When the certificate expires, for people."""
        return f"{self.own_certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"

    def request(self) -> bytes:
        """Return a request for another certificate of the same key."""
        return make_request(key_from_pem(self.key), self.name)

    def renewed(self, certificate: bytes, authorities: bytes) -> "Identity":
        """Return the same member with a new certificate.

        Raises:
            InvalidArgumentError: The certificate is for another key, or there are no authorities.
        """
        read_bundle(authorities)
        if read_certificate(certificate).public_key() != key_from_pem(self.key).public_key():
            raise InvalidArgumentError("the certificate that came is for another key")
        return replace(self, certificate=certificate, authorities=authorities)


def save_identity(folder: Path, identity: Identity) -> None:
    """Write a whole identity; what was there before is void from the first moment on."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MEMBER_FILE).unlink(missing_ok=True)
    write_private(folder / KEY_FILE, identity.key)
    write_private(folder / RELEASE_ROOT_FILE, identity.release_root)
    save_renewed(folder, identity)
    member = _Member(name=identity.name, address=identity.address)
    write_private(folder / MEMBER_FILE, member.model_dump_json(indent=1).encode())


def save_renewed(folder: Path, identity: Identity) -> None:
    """Write what a renewal changes. Whom to trust comes first: it serves the old certificate too."""
    write_private(folder / AUTHORITIES_FILE, identity.authorities)
    write_private(folder / CERTIFICATE_FILE, identity.certificate)


def load_identity(folder: Path, advice: str) -> Identity:
    """Read the identity in a folder; the advice says how to get one.

    Raises:
        NotFoundError: There is none, or only a part of one.
        FailedPreconditionError: It cannot be read.
        CorruptError: A file does not hold what it should.
    """
    try:
        member = _Member.model_validate_json((folder / MEMBER_FILE).read_bytes())
        files = (KEY_FILE, CERTIFICATE_FILE, AUTHORITIES_FILE, RELEASE_ROOT_FILE)
        identity = Identity(member.name, member.address, *((folder / file).read_bytes() for file in files))
        identity.renewed(identity.certificate, identity.authorities)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no identity in {folder}: {advice}") from error
    except OSError as error:
        raise FailedPreconditionError(
            f"the identity in {folder} cannot be read ({error.strerror}): {advice}"
        ) from error
    except (ValidationError, InvalidArgumentError) as error:
        raise CorruptError(f"the identity in {folder} is damaged: {advice}") from error
    return identity
