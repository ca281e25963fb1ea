"""The authorities of a coordinator as files in its folder of keys.

ca.key is the authority in force: it signs the coordinator's own certificate, which members verify. next-ca.key is there
only during an exchange: it signs the certificates of members. Each file holds key and certificate, so one rename
switches both. authorities.pem holds the certificates alone, to be copied to whoever calls.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.identity.authority import Authority
from bandwatch.identity.certificates import digest_of, write_bundle
from bandwatch.identity.private_files import sync_entries, write_private

KEY_FILE: Final = "ca.key"
NEXT_KEY_FILE: Final = "next-ca.key"
AUTHORITIES_FILE: Final = "authorities.pem"


@dataclass(frozen=True)
class Keyring:
    """The authority in force, and the next one while the two are exchanged."""

    current: Authority
    next: Authority | None = None

    @property
    def for_members(self) -> Authority:
        """The authority that signs certificates of members."""
        return self.next or self.current

    @property
    def authorities(self) -> bytes:
        """Certificates of every authority that is trusted, in PEM form."""
        trusted = [self.current] if self.next is None else [self.current, self.next]
        return write_bundle(authority.certificate for authority in trusted)

    @property
    def digest(self) -> str:
        """The digest of what is trusted, by which a member sees whether it knows of all."""
        return digest_of(self.authorities)


def make_authority(folder: Path) -> list[Path]:
    """Make the authority that a folder of keys lacks, and return the new files."""
    if (folder / KEY_FILE).exists():
        write_private(folder / AUTHORITIES_FILE, load_keyring(folder).authorities)
        return []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    keyring = Keyring(Authority.make())
    write_private(folder / KEY_FILE, keyring.current.to_pem())
    write_private(folder / AUTHORITIES_FILE, keyring.authorities)
    return [folder / KEY_FILE, folder / AUTHORITIES_FILE]


def load_keyring(folder: Path) -> Keyring:
    """Read the authorities of a folder of keys.

    Raises:
        NotFoundError: There is none.
        FailedPreconditionError: A file cannot be read.
        InvalidArgumentError: A file holds no authority.
    """
    current = _load(folder / KEY_FILE)
    if current is None:
        raise NotFoundError(f"there is no {folder / KEY_FILE}: make keys with `bandwatch-coordinator make-keys`")
    return Keyring(current, _load(folder / NEXT_KEY_FILE))


def begin_exchange(folder: Path) -> Keyring:
    """Make the next authority beside the one in force.

    Raises:
        FailedPreconditionError: An exchange is under way.
    """
    if load_keyring(folder).next is not None:
        raise FailedPreconditionError(
            "an exchange of the authority is under way: end it with `bandwatch-coordinator rotate-authority --finish`"
        )
    write_private(folder / NEXT_KEY_FILE, Authority.make().to_pem())
    return _published(folder)


def finish_exchange(folder: Path) -> Keyring:
    """Let the next authority take the place of the one in force, which nobody is to trust any more.

    Raises:
        FailedPreconditionError: No exchange is under way.
    """
    if load_keyring(folder).next is None:
        raise FailedPreconditionError(
            "there is no next authority: begin an exchange with `bandwatch-coordinator rotate-authority`"
        )
    (folder / NEXT_KEY_FILE).replace(folder / KEY_FILE)
    sync_entries(folder)
    return _published(folder)


def _published(folder: Path) -> Keyring:
    keyring = load_keyring(folder)
    write_private(folder / AUTHORITIES_FILE, keyring.authorities)
    return keyring


def _load(path: Path) -> Authority | None:
    try:
        return Authority.from_pem(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read: {error.strerror}") from error
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"{path}: {error.message}") from error
