"""What somebody between an agent and its coordinator can do: replay, mix, change, and sign with stolen keys."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from tuf.api.metadata import Metadata, MetaFile

from bandwatch.artifacts.release_metadata import MetadataEdit, SignedFile, bin_of
from bandwatch.artifacts.release_roots import first_root
from bandwatch.artifacts.signing import OnlineKeys, new_key
from tests.unit.observer_agent.release_repository import ReleaseRepository


class HostileRepository:
    """Begins as a copy of an honest one's files. `files` is what agents get."""

    def __init__(self, honest: ReleaseRepository) -> None:
        self.files = dict(honest.files)
        self._honest = dict(honest.newest)
        self._newest = dict(honest.newest)
        self._lives = deepcopy(honest.lives)

    def name_with(self, keys: OnlineKeys, serial: int, manifest: bytes, *, only: str = "") -> None:
        """Name a release by whatever keys are at hand; of the signed files serve all, or those of one role."""
        edit = MetadataEdit(self._newest)
        edit.name(serial, manifest, {})
        unchecked = first_root(new_key(), keys, datetime.now(UTC))
        for file in edit.sign(unchecked, keys, self._lives, datetime.now(UTC)):
            if only in ("", file.role):
                self._serve(file)

    def replace(self, role: str, content: bytes) -> None:
        """Serve other bytes as the newest version of a role."""
        version = Metadata[Any].from_bytes(self._honest[role]).signed.version
        self.files["timestamp.json" if role == "timestamp" else f"{version}.{role}.json"] = content

    def date_with(self, keys: OnlineKeys, *, version: int, snapshot: SignedFile | None = None) -> None:
        """Sign a timestamp of some version, for the newest snapshot or another one."""
        metadata = Metadata[Any].from_bytes(self._newest["timestamp"])
        metadata.signed.version = version
        if snapshot is not None:
            metadata.signed.snapshot_meta = MetaFile.from_data(snapshot.version, snapshot.content, ["sha256"])
        metadata.sign(keys.dating)
        self.files["timestamp.json"] = metadata.to_bytes()

    def _serve(self, file: SignedFile) -> None:
        self._newest[file.role] = file.content
        self.files["timestamp.json" if file.role == "timestamp" else f"{file.version}.{file.role}.json"] = file.content


def bin_file(repository: ReleaseRepository, serial: int) -> SignedFile:
    """Return the newest file that names a release, or would."""
    return role_file(repository, bin_of(serial))


def role_file(repository: ReleaseRepository, role: str) -> SignedFile:
    """Return the newest file of a role."""
    content = repository.newest[role]
    return SignedFile(role, Metadata[Any].from_bytes(content).signed.version, content)
