"""Key files: Ed25519 private keys in PEM form, and the two that a coordinator signs releases with."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError


def new_key() -> CryptoSigner:
    """Return a new random key; its `private_bytes` are the content of a key file."""
    return CryptoSigner.generate_ed25519()


def load_key(path: Path) -> CryptoSigner:
    """Read a key from a PEM file.

    Raises:
        NotFoundError: There is no such file.
        FailedPreconditionError: It cannot be read.
        InvalidArgumentError: It holds no unencrypted Ed25519 private key.
    """
    try:
        private = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidArgumentError(f"{path} holds no unencrypted private key in PEM form") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise InvalidArgumentError(f"{path} holds a key of another kind; an Ed25519 key is needed")
    return CryptoSigner(private)


def _read(path: Path) -> bytes:
    advice = "make keys with `bandwatch-coordinator make-keys`, or put back the one that was taken away"
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no {path}: {advice}") from error
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read ({error.strerror}): {advice}") from error


@dataclass(frozen=True)
class OnlineKeys:
    """The keys that a coordinator holds. Whoever has only one of them can make no agent believe in a release.

    `naming` says which releases there are, `dating` what the newest state of that is.
    """

    naming: CryptoSigner
    dating: CryptoSigner


@dataclass(frozen=True)
class OnlineKeyFiles:
    """Where these keys lie. They are read for every use, so that a rotation needs no restart."""

    naming: Path
    dating: Path

    def load(self) -> OnlineKeys:
        """Read both.

        Raises:
            BandwatchError: See `load_key`.
        """
        return OnlineKeys(load_key(self.naming), load_key(self.dating))
