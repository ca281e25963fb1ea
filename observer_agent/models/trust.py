"""Which releases are genuine: the newest signed metadata says so, and what was believed once is never unlearnt."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog
from tuf.api import exceptions
from tuf.api.metadata import Metadata, Timestamp
from tuf.ngclient import FetcherInterface, TargetFile, Updater, UpdaterConfig

from bandwatch.artifacts.blobs import sync_folder
from bandwatch.artifacts.release_metadata import SIGNED_AT, release_path
from bandwatch.errors import BandwatchError, CorruptError, InvalidArgumentError, NotFoundError, UnavailableError
from observer_agent.models.desired import AssignedRelease

_LIMITS: Final = UpdaterConfig(
    max_delegations=2,
    root_max_length=64 << 10,
    timestamp_max_length=4 << 10,
    snapshot_max_length=256 << 10,
    targets_max_length=4 << 20,
)
_NOT_FOUND: Final = 404
_CLOCK_TOLERANCE_S: Final = 300.0
_log: Final = structlog.stdlib.get_logger()
Fetch = Callable[[str], bytes]
"""Returns a file of the metadata. Raises NotFoundError, or UnavailableError while trying again may help."""


class MetadataError(CorruptError):
    """The metadata of releases cannot be believed at present; better metadata may come."""

    code = "bad_metadata"


class ForgedMetadataError(MetadataError):
    """A key signed that may not."""

    code = "bad_signature"


class StaleMetadataError(MetadataError):
    """What was signed last is too old by this machine's clock."""

    code = "stale_metadata"


class OldMetadataError(MetadataError):
    """Newer metadata was believed before."""

    code = "old_metadata"


class MixedMetadataError(MetadataError):
    """Files of different states were put together, or one was changed."""

    code = "mixed_metadata"


class EndlessMetadataError(MetadataError):
    """A file is longer than it may be."""

    code = "endless_metadata"


class NotReleasedError(MetadataError):
    """The newest metadata does not name this release, or names it with another manifest."""

    code = "not_released"


_ERRORS: Final[dict[type[Exception], type[MetadataError]]] = {
    exceptions.UnsignedMetadataError: ForgedMetadataError,
    exceptions.ExpiredMetadataError: StaleMetadataError,
    exceptions.BadVersionNumberError: OldMetadataError,
    exceptions.LengthOrHashMismatchError: MixedMetadataError,
    exceptions.DownloadLengthMismatchError: EndlessMetadataError,
}


class _Fetcher(FetcherInterface):
    """Fetches through the agent's own connection, and remembers what came."""

    def __init__(self, fetch: Fetch) -> None:
        self.fetched: dict[str, bytes] = {}
        self._fetch_file = fetch

    def _fetch(self, url: str) -> Iterator[bytes]:
        file = url.rpartition("/")[2]
        try:
            self.fetched[file] = self._fetch_file(file)
        except NotFoundError as error:
            raise exceptions.DownloadHTTPError(error.message, _NOT_FOUND) from error
        return iter([self.fetched[file]])


class ReleaseTrust:
    """What this agent believes of releases, from the root of trust that it was given. Its files outlive the agent."""

    def __init__(self, folder: Path, root: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._root = root

    def check(self, release: AssignedRelease, fetch: Fetch) -> None:
        """See that the newest metadata names a release with this very manifest. Blocks while it fetches.

        Raises:
            MetadataError: It does not, or it cannot be believed; the code says which.
            UnavailableError: It could not be fetched at present.
        """
        fetcher = _Fetcher(fetch)
        with _as_ours(fetcher):
            updater = Updater(str(self._folder), "metadata:", fetcher=fetcher, config=_LIMITS, bootstrap=self._root)
            target = updater.get_targetinfo(release_path(release.serial))
        self._sync()
        _warn_of_a_clock_behind(fetcher.fetched.get("timestamp.json", b""))
        if target is None or not _is_that_manifest(target, release):
            raise NotReleasedError(
                f"the coordinator's signed metadata does not name release {release.serial} with this manifest: it was "
                "withdrawn, or somebody offers what was never released"
            )

    def _sync(self) -> None:
        """Make what is believed from now on survive a loss of power, before anything is done because of it."""
        for path in self._folder.rglob("*.json"):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        for folder in (self._folder / "root_history", self._folder):
            sync_folder(folder)


def _is_that_manifest(target: TargetFile, release: AssignedRelease) -> bool:
    return (target.hashes.get("sha256"), target.length) == (release.manifest.digest, release.manifest.size_bytes)


@contextmanager
def _as_ours(fetcher: _Fetcher) -> Iterator[None]:
    """Turn the errors of python-tuf into ours."""
    try:
        yield
    except (exceptions.RepositoryError, exceptions.DownloadError) as error:
        cause = error.__cause__
        if isinstance(cause, UnavailableError):
            raise cause from error
        kind = next((ours for theirs, ours in _ERRORS.items() if isinstance(error, theirs)), MetadataError)
        if isinstance(cause, InvalidArgumentError):  # the channel takes no message of that size
            kind = EndlessMetadataError
        raise kind(_sentence(kind, error, fetcher)) from error


def _sentence(kind: type[MetadataError], error: Exception, fetcher: _Fetcher) -> str:
    said = error.__cause__.message if isinstance(error.__cause__, BandwatchError) else str(error)
    if kind is StaleMetadataError:
        return _sentence_of_age(said, fetcher.fetched.get("timestamp.json", b""))
    return f"the metadata of releases cannot be believed: {said}"


def _sentence_of_age(said: str, timestamp: bytes) -> str:
    """Say what may be wrong: the clock here, the coordinator's schedule, or somebody between."""
    signed_at = _signed_at(timestamp)
    when = f" It was signed at {signed_at:%Y-%m-%d %H:%M:%SZ}." if signed_at else ""
    return (
        f"the metadata of releases is too old ({said}).{when} This machine's clock says "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}: set it if it is wrong. If it is right, nobody has signed since (does "
        "`bandwatch-coordinator schedule` run?), or somebody keeps newer metadata back. The model in force goes on"
    )


def _signed_at(timestamp: bytes) -> datetime | None:
    try:
        return datetime.fromisoformat(Metadata[Timestamp].from_bytes(timestamp).signed.unrecognized_fields[SIGNED_AT])
    except (exceptions.RepositoryError, KeyError, TypeError, ValueError):
        return None


def _warn_of_a_clock_behind(timestamp: bytes) -> None:
    """Say so where genuine metadata comes from the future: this clock would take old metadata for new."""
    signed_at = _signed_at(timestamp)
    if signed_at is None or signed_at.tzinfo is None:
        return
    behind = signed_at - datetime.now(UTC)
    if behind.total_seconds() > _CLOCK_TOLERANCE_S:
        _log.warning("this machine's clock is behind the coordinator's: set it", behind_s=round(behind.total_seconds()))
