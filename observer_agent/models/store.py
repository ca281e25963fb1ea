"""Which release is in force here, which one was before, and the blobs of both."""

from pathlib import Path
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.artifacts.signing import TrustedKeys
from bandwatch.errors import BandwatchError, CorruptError, FailedPreconditionError
from observer_agent.models.desired import AssignedRelease, DesiredState
from observer_agent.spool.files import write_durably

_log: Final = structlog.stdlib.get_logger()


class OldSerialError(FailedPreconditionError):
    """A newer release was accepted for this cell before."""

    code = "old_serial"


class WrongTargetError(FailedPreconditionError):
    """The release is meant for another band or cell, or is not the one that was offered."""

    code = "wrong_target"


class _Pointers(BaseModel):
    """What `active.json` holds. `accepted` is the newest release that was ever accepted, by cell."""

    model_config = ConfigDict(frozen=True)

    active: AssignedRelease | None = None
    previous: AssignedRelease | None = None
    accepted: dict[str, AssignedRelease] = {}


class ModelStore:
    """Models of this agent: blobs by digest, and a pointer that is switched only after everything else is durable."""

    def __init__(self, root: Path, trusted: TrustedKeys) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.blobs = BlobStore(root / "blobs")
        self._file = root / "active.json"
        self._trusted = trusted
        self._pointers = self._read()

    @property
    def active(self) -> AssignedRelease | None:
        """The release that was put in force last."""
        return self._pointers.active

    def check_serial(self, release: AssignedRelease, cell: str) -> None:
        """Accept only a newer release than ever before in this cell, or that same one again.

        Raises:
            OldSerialError: It is an older one, or another one of the same number.
        """
        newest = self._pointers.accepted.get(cell)
        if newest is not None and release.serial <= newest.serial and release != newest:
            raise OldSerialError(
                f"release {release.serial} is not newer than release {newest.serial}, which {cell} has had: "
                "release the older model again under a new serial to go back to it"
            )

    def open_manifest(self, release: AssignedRelease, desired: DesiredState) -> Manifest:
        """Return the manifest of a release whose blob is here, once its signature and target hold.

        Raises:
            BadSignatureError: No trusted key signed it.
            CorruptError: It is no manifest.
            WrongTargetError: It is meant for another serial, band or cell.
        """
        manifest = Manifest.from_bytes(self._trusted.open(self.blobs.read(release.manifest.digest)))
        if manifest.serial != release.serial:
            raise WrongTargetError(f"release {release.serial} came with the manifest of release {manifest.serial}")
        if not is_meant_for(manifest, desired):
            raise WrongTargetError(
                f"release {release.serial} is meant for {manifest.cell or manifest.band}, "
                f"but this observer watches {desired.cell} on {desired.band}"
            )
        return manifest

    def holds(self, reference: BlobReference) -> bool:
        """Tell whether a blob is here unchanged; one that has changed on disk is removed."""
        if not self.blobs.contains(reference.digest):
            return False
        try:
            return len(self.blobs.read(reference.digest)) == reference.size_bytes
        except CorruptError as error:
            _log.warning("a blob has changed on disk; it is fetched again", fault=error.message)
            self.blobs.remove(reference.digest)
            return False

    def read(self, reference: BlobReference) -> bytes:
        """Return a blob's content, verified.

        Raises:
            NotFoundError: It is not here.
            CorruptError: It has changed on disk.
        """
        return self.blobs.read(reference.digest)

    def activate(self, release: AssignedRelease, cell: str) -> None:
        """Put a release in force durably, keep the one before, and remove the blobs of all others."""
        before = self._pointers
        after = _Pointers(
            active=release,
            previous=before.previous if before.active == release else before.active,
            accepted=before.accepted | {cell: release},
        )
        write_durably(self._file, after.model_dump_json().encode())
        self._pointers = after
        self._remove_unreferenced()

    def _remove_unreferenced(self) -> None:
        wanted: set[str] = set()
        for release in (self._pointers.active, self._pointers.previous):
            if release is not None:
                wanted |= self._digests_of(release)
        for digest in set(self.blobs.digests()) - wanted:
            self.blobs.remove(digest)

    def _digests_of(self, release: AssignedRelease) -> set[str]:
        try:
            manifest = Manifest.from_bytes(self._trusted.open(self.blobs.read(release.manifest.digest)))
        except BandwatchError:
            return {release.manifest.digest}
        return {release.manifest.digest} | {reference.digest for reference in manifest.content.blobs()}

    def _read(self) -> _Pointers:
        try:
            return _Pointers.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return _Pointers()
        except ValidationError as error:
            _log.warning("the pointer to the active model cannot be read; starting without one", fault=str(error))
            return _Pointers()


def is_meant_for(manifest: Manifest, desired: DesiredState) -> bool:
    """Tell whether a release may run: it is for the observer's cell, or for every cell of its band."""
    return manifest.band == desired.band and manifest.cell in (None, desired.cell)
