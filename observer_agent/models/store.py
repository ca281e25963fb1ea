"""Which release is in force here, which one was before, which are kept ready, and the blobs of all of them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from bandwatch.artifacts import ladder
from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.errors import BandwatchError, CorruptError, FailedPreconditionError
from observer_agent.models.desired import AssignedRelease, DesiredState
from observer_agent.models.trust import Fetch, NotReleasedError, ReleaseTrust
from observer_agent.spool.files import write_durably

_log: Final = structlog.stdlib.get_logger()


class OldSerialError(FailedPreconditionError):
    """A newer release was accepted for this cell before."""

    code = "old_serial"


class WrongTargetError(FailedPreconditionError):
    """The release is meant for another band or cell, or is not the one that was offered."""

    code = "wrong_target"


class _Pointers(BaseModel):
    """What `active.json` holds. `accepted` is the newest release that was ever accepted, by scope: a cell, a band, all.

    `kept` are releases whose blobs stay besides those of the active and the previous one.
    """

    model_config = ConfigDict(frozen=True)

    active: AssignedRelease | None = None
    previous: AssignedRelease | None = None
    accepted: dict[str, AssignedRelease] = {}
    kept: tuple[AssignedRelease, ...] = ()


class ModelStore:
    """Models of this agent: blobs by digest, and a pointer that is switched only after everything else is durable."""

    def __init__(self, root: Path, release_root: bytes) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._trust = ReleaseTrust(root / "metadata", release_root)
        self._believed: set[AssignedRelease] = set()
        self.blobs = BlobStore(root / "blobs")
        self._file = root / "active.json"
        self._pointers = self._read()

    @property
    def active(self) -> AssignedRelease | None:
        """The release that was put in force last."""
        return self._pointers.active

    def accepted(self, scope: str) -> AssignedRelease | None:
        """Return the newest release that was ever accepted for a cell, for a band's cells, or for all."""
        return self._pointers.accepted.get(scope)

    def check_serial(self, release: AssignedRelease, scope: str) -> None:
        """Accept only a newer release than ever before in this scope, or that same one again.

        Raises:
            OldSerialError: It is an older one, or another one of the same number.
        """
        newest = self.accepted(scope)
        if newest is not None and release.serial <= newest.serial and release != newest:
            raise OldSerialError(
                f"release {release.serial} is not newer than release {newest.serial}, which {scope} has had: "
                "release the older model again under a new serial to go back to it"
            )

    def check_trusted(self, release: AssignedRelease, fetch: Fetch) -> None:
        """See that signed metadata names a release with this manifest. Ask before fetching anything of it.

        What was accepted before is believed without asking, so that it runs also without the coordinator.

        Raises:
            MetadataError: It does not, or cannot be believed; the code says which.
            UnavailableError: Metadata could not be fetched at present.
        """
        if not self._is_believed(release):
            self._trust.check(release, fetch)
            self._believed.add(release)

    def _is_believed(self, release: AssignedRelease) -> bool:
        pointers = self._pointers
        accepted = (pointers.active, pointers.previous, *pointers.accepted.values(), *pointers.kept)
        return release in self._believed or release in accepted

    def open_manifest(self, release: AssignedRelease, desired: DesiredState) -> Manifest:
        """Return the manifest of a release that is believed and whose blob is here, once its target holds.

        Raises:
            NotReleasedError: It was not checked against signed metadata.
            CorruptError: It is no manifest.
            WrongTargetError: It is meant for another serial, band or cell.
        """
        if not self._is_believed(release):
            raise NotReleasedError(f"release {release.serial} was not checked against signed metadata")
        manifest = Manifest.from_bytes(self.blobs.read(release.manifest.digest))
        if manifest.serial != release.serial:
            raise WrongTargetError(f"release {release.serial} came with the manifest of release {manifest.serial}")
        if not is_meant_for(manifest, desired):
            raise WrongTargetError(
                f"release {release.serial} is meant for {manifest.cell or manifest.band or 'all bands'}, "
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

    def accept(self, release: AssignedRelease, scope: str) -> None:
        """Note durably that a release is the newest of its scope."""
        if self.accepted(scope) != release:
            self._point(accepted=self._pointers.accepted | {scope: release})

    def activate(self, release: AssignedRelease) -> None:
        """Put an accepted release in force durably, and remember the one before."""
        if self.active != release:
            self._point(active=release, previous=self.active)

    def retain(self, releases: Iterable[AssignedRelease]) -> None:
        """Keep the blobs of these releases, of the active and of the previous one, and remove all others."""
        kept = tuple(releases)
        if kept != self._pointers.kept:
            self._point(kept=kept)
        self._remove_unreferenced()

    def _point(self, **changes: object) -> None:
        after = self._pointers.model_copy(update=changes)
        write_durably(self._file, after.model_dump_json().encode())
        self._pointers = after

    def _remove_unreferenced(self) -> None:
        wanted: set[str] = set()
        for release in {self._pointers.active, self._pointers.previous, *self._pointers.kept}:
            if release is not None:
                wanted |= self._digests_of(release)
        for digest in set(self.blobs.digests()) - wanted:
            self.blobs.remove(digest)

    def _digests_of(self, release: AssignedRelease) -> set[str]:
        try:
            manifest = Manifest.from_bytes(self.blobs.read(release.manifest.digest))
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
    """Tell whether a release may run: it is for the observer's cell, for every cell of its band, or for every cell."""
    return ladder.is_meant_for(manifest.band, manifest.cell, band=desired.band, cell=desired.cell)
