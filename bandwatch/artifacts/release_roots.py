"""The root of trust in releases: which keys may sign what. An agent pins one, and follows its successors by itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Role, Root, Snapshot, Targets, Timestamp

from bandwatch.artifacts.signing import OnlineKeys
from bandwatch.errors import CorruptError, FailedPreconditionError

ROOT: Final = Root.type
TARGETS: Final = Targets.type
SNAPSHOT: Final = Snapshot.type
TIMESTAMP: Final = Timestamp.type
ROOT_LIFE: Final = timedelta(days=730)
"""A root is signed by hand. The one before it stays good for finding the next, however long that takes."""


@dataclass(frozen=True)
class ReleaseRoot:
    """A root as a file, and its public keys."""

    content: bytes
    version: int
    expires_at: datetime
    root: Key
    naming: Key
    dating: Key

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a root that this coordinator made.

        Raises:
            CorruptError: It is none.
        """
        try:
            signed = Metadata[Root].from_bytes(content).signed
            keys = [signed.keys[signed.roles[role].keyids[0]] for role in (ROOT, TARGETS, TIMESTAMP)]
            return cls(content, signed.version, signed.expires, *keys)
        except (RepositoryError, AttributeError, KeyError, IndexError) as error:
            raise CorruptError("these bytes are no root of trust in releases") from error

    def require(self, keys: OnlineKeys) -> None:
        """See that these keys may sign.

        Raises:
            FailedPreconditionError: They are not those that the root names.
        """
        if (self.naming.keyid, self.dating.keyid) != (keys.naming.public_key.keyid, keys.dating.public_key.keyid):
            raise FailedPreconditionError(
                f"version {self.version} of the root of trust names other keys than the coordinator's signing.key and "
                "timestamp.key: put those back, or run `bandwatch-coordinator rotate-signing-key` to make new ones"
            )


def first_root(root_key: CryptoSigner, keys: OnlineKeys, now: datetime) -> ReleaseRoot:
    """Return the root of a new deployment."""
    return _signed(1, root_key.public_key, keys.naming.public_key, keys.dating.public_key, [root_key], now)


def with_new_online_keys(root: ReleaseRoot, root_key: CryptoSigner, keys: OnlineKeys, now: datetime) -> ReleaseRoot:
    """Return the successor of a root under which only the new keys may sign.

    Raises:
        FailedPreconditionError: The root key is another one.
    """
    _require_root_key(root, root_key)
    naming, dating = keys.naming.public_key, keys.dating.public_key
    return _signed(root.version + 1, root.root, naming, dating, [root_key], now)


def with_new_root_key(root: ReleaseRoot, old: CryptoSigner, new: CryptoSigner, now: datetime) -> ReleaseRoot:
    """Return the successor of a root that is signed by the root key of before, and by the one that follows it.

    Raises:
        FailedPreconditionError: The old root key is another one.
    """
    _require_root_key(root, old)
    return _signed(root.version + 1, new.public_key, root.naming, root.dating, [old, new], now)


def _require_root_key(root: ReleaseRoot, key: CryptoSigner) -> None:
    if root.root.keyid != key.public_key.keyid:
        raise FailedPreconditionError(
            f"this root key did not make version {root.version} of the root of trust: name the file of the one that did"
        )


def _signed(
    version: int, root: Key, naming: Key, dating: Key, signers: list[CryptoSigner], now: datetime
) -> ReleaseRoot:
    roles = {ROOT: root, TARGETS: naming, SNAPSHOT: dating, TIMESTAMP: dating}
    metadata = Metadata(
        Root(
            version=version,
            expires=now.astimezone(UTC) + ROOT_LIFE,
            keys={key.keyid: key for key in roles.values()},
            roles={role: Role([key.keyid], 1) for role, key in roles.items()},
        )
    )
    for signer in signers:
        metadata.sign(signer, append=True)
    return ReleaseRoot.parse(metadata.to_bytes())
