"""The signed metadata that says which releases are genuine (TUF): from the files of one state to those of the next."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tuf.api.metadata import (
    Delegations,
    Metadata,
    MetaFile,
    Signed,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)

from bandwatch.artifacts.release_roots import SNAPSHOT, TARGETS, TIMESTAMP, ReleaseRoot
from bandwatch.artifacts.signing import OnlineKeys

BIN_BITS: Final = 7
"""Releases are spread over 128 files. An agent that adopts one fetches the list of all files (130 bytes for each of
them) and one of them (180 bytes for each release in it): together the least at 12,000 releases, and less than twice
what another number of files would take between 1,000 and 100,000."""
SIGNED_AT: Final = "signed_at"
"""Field of every file: when it was signed, so that an agent can tell that its own clock is behind."""
_HASHES: Final = ["sha256"]
_SERIAL: Final = re.compile("[0-9]+")


def release_path(serial: int) -> str:
    """Return how metadata calls a release."""
    return f"releases/{serial}.json"


def bin_of(serial: int) -> str:
    """Return the role that names a release, if any does."""
    return _bins().get_role_for_target(release_path(serial))


def every_bin() -> list[str]:
    """Return the roles that name releases."""
    return list(_bins().get_roles())


def _bins(keyids: tuple[str, ...] = ()) -> SuccinctRoles:
    return SuccinctRoles(list(keyids), 1, BIN_BITS, "bins")


@dataclass(frozen=True)
class Lives:
    """How long signatures hold: of the statement what is newest, and of everything that it leads to."""

    timestamp: timedelta
    contents: timedelta = timedelta(days=90)


@dataclass(frozen=True)
class SignedFile:
    """One version of one role's metadata."""

    role: str
    version: int
    content: bytes


class MetadataEdit:
    """A change of the metadata: begin with the newest files of the roles concerned, change, and sign.

    Snapshot and timestamp are always concerned.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._roles: dict[str, Metadata[Any]] = {role: Metadata.from_bytes(content) for role, content in files.items()}
        self._changed: set[str] = set()

    @classmethod
    def first(cls) -> "MetadataEdit":
        """Return the edit that makes everything: it names no release."""
        edit = cls({})
        for role, signed in [
            *((role, Targets()) for role in every_bin()),
            (SNAPSHOT, Snapshot(meta={})),
            (TIMESTAMP, Timestamp()),
        ]:
            signed.version = 0  # the first signature raises it
            edit._roles[role] = Metadata(signed)
        edit._changed = set(every_bin())
        return edit

    def name(self, serial: int, manifest: bytes, custom: dict[str, Any]) -> None:
        """Name a release."""
        target = TargetFile.from_data(release_path(serial), manifest, _HASHES)
        target.unrecognized_fields = {"custom": custom}
        self._roles[bin_of(serial)].signed.targets[target.path] = target
        self._changed.add(bin_of(serial))

    def withdraw(self, serial: int) -> None:
        """Name a release no more; nothing happens when it is not named."""
        if self._roles[bin_of(serial)].signed.targets.pop(release_path(serial), None):
            self._changed.add(bin_of(serial))

    @property
    def changed(self) -> bool:
        """Whether there is anything new to sign."""
        return bool(self._changed)

    @property
    def serials(self) -> set[int]:
        """The releases that the roles at hand name."""
        named = [metadata.signed.targets for metadata in self._roles.values() if isinstance(metadata.signed, Targets)]
        return {int(_SERIAL.findall(path)[0]) for targets in named for path in targets}

    def is_due(self, role: str, now: datetime, life: timedelta) -> bool:
        """Tell whether a role has used up a third of its life."""
        expires: datetime = self._roles[role].signed.expires
        return expires - now < life * (2 / 3)

    def renew(self) -> None:
        """Have everything that is at hand signed again."""
        self._changed = set(self._roles)

    def delegate(self, keys: OnlineKeys) -> None:
        """Let this key name releases, and have everything that is at hand signed again."""
        key = keys.naming.public_key
        version = self._roles[TARGETS].signed.version if TARGETS in self._roles else 0
        targets = Targets(delegations=Delegations({key.keyid: key}, succinct_roles=_bins((key.keyid,))))
        targets.version = version
        self._roles[TARGETS] = Metadata(targets)
        self._changed = set(self._roles)

    def sign(self, root: ReleaseRoot, keys: OnlineKeys, lives: Lives, now: datetime) -> list[SignedFile]:
        """Return the new files: those of the roles that changed, then what leads to them.

        Raises:
            FailedPreconditionError: The keys are not those that the root names.
        """
        root.require(keys)
        made: list[SignedFile] = []
        snapshot, timestamp = self._roles[SNAPSHOT].signed, self._roles[TIMESTAMP].signed
        for role in sorted(self._changed - {SNAPSHOT, TIMESTAMP}):
            file = _sign(role, self._roles[role], keys.naming, now, lives.contents)
            snapshot.meta[f"{role}.json"] = MetaFile.from_data(file.version, file.content, _HASHES)
            made.append(file)
        if made or SNAPSHOT in self._changed:
            file = _sign(SNAPSHOT, self._roles[SNAPSHOT], keys.dating, now, lives.contents)
            timestamp.snapshot_meta = MetaFile.from_data(file.version, file.content, _HASHES)
            made.append(file)
        made.append(_sign(TIMESTAMP, self._roles[TIMESTAMP], keys.dating, now, lives.timestamp))
        self._changed.clear()
        return made


def _sign(role: str, metadata: Metadata[Any], key: Any, now: datetime, life: timedelta) -> SignedFile:
    signed: Signed = metadata.signed
    signed.version += 1
    signed.expires = now.astimezone(UTC) + life
    signed.unrecognized_fields[SIGNED_AT] = now.astimezone(UTC).isoformat(timespec="seconds")
    metadata.sign(key)
    return SignedFile(role, signed.version, metadata.to_bytes())


def first_files(root: ReleaseRoot, keys: OnlineKeys, lives: Lives, now: datetime) -> list[SignedFile]:
    """Return the metadata of a new deployment, which names no release.

    Raises:
        FailedPreconditionError: The keys are not those that the root names.
    """
    edit = MetadataEdit.first()
    edit.delegate(keys)
    return edit.sign(root, keys, lives, now)
