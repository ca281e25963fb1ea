"""A content-addressed store on files: written aside, verified, synced, renamed."""

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, Protocol, Self

from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import CorruptError, InvalidArgumentError, NotFoundError, UnavailableError

CHUNK_BYTES: Final = 256 * 1024
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def digest_of(content: bytes | memoryview) -> str:
    """Return the SHA-256 of the content in lower-case hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def require_digest(text: str) -> None:
    """Refuse what is no digest, before it becomes a path.

    Raises:
        InvalidArgumentError: The text is no digest.
    """
    if not _DIGEST.fullmatch(text):
        raise InvalidArgumentError("a blob is named by 64 lower-case hexadecimal digits")


def require_promised(content: bytes, reference: BlobReference) -> None:
    """Refuse content that is not what a reference promised.

    Raises:
        CorruptError: Its digest or length differs.
    """
    if len(content) != reference.size_bytes or digest_of(content) != reference.digest:
        raise CorruptError(f"blob {reference.digest} arrived changed: its digest or length differs")


class Blobs(Protocol):
    """What the coordinator asks of a store, be it a folder or a bucket. Every call may wait for a disk or a network.

    All of them raise UnavailableError where the store takes or gives nothing at present.
    """

    def contains(self, digest: str) -> bool:
        """Tell whether the blob is here."""
        ...  # a protocol has no body

    def write(self, content: bytes | memoryview) -> BlobReference:
        """Store content durably and return its reference."""
        ...

    def write_named(self, content: bytes | memoryview, digest: str) -> BlobReference:
        """Store content whose digest the caller has just computed, and return its reference."""
        ...

    def write_verified(self, content: bytes, reference: BlobReference) -> None:
        """Store content that must be what a reference promised."""
        ...

    def chunks(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a blob from an offset in pieces of 256 KiB at most."""
        ...


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes | memoryview) -> None:
    """Write a new file and sync it, in as few system calls as that takes.

    Where many threads write, each call ends with a wait for the interpreter, and a file object makes more of them.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Incoming:
    """A blob on its way in. What has arrived stays on disk, so a broken transfer resumes at `offset`.

    One writer at a time: two transfers of one blob each need a store of their own or a lock.
    """

    def __init__(self, store: "BlobStore", reference: BlobReference, path: Path) -> None:
        self._store = store
        self._reference = reference
        self._path = path
        self._file: IO[bytes] = path.open("ab")

    @property
    def offset(self) -> int:
        """Bytes that have arrived."""
        return self._file.tell()

    def append(self, chunk: bytes) -> None:
        """Add the next bytes.

        Raises:
            CorruptError: More arrived than the reference promised; the partial blob is discarded.
        """
        if self.offset + len(chunk) > self._reference.size_bytes:
            self.discard()
            raise CorruptError(f"blob {self._reference.digest} is longer than its {self._reference.size_bytes} bytes")
        self._file.write(chunk)

    def finish(self) -> None:
        """Verify length and digest, then make the blob visible and durable.

        Raises:
            CorruptError: It is not what the reference promised; the partial blob is discarded.
        """
        self._file.flush()
        content = self._path.read_bytes()
        if len(content) != self._reference.size_bytes or digest_of(content) != self._reference.digest:
            self.discard()
            raise CorruptError(f"blob {self._reference.digest} arrived changed: its digest or length differs")
        os.fsync(self._file.fileno())
        self._file.close()
        self._store.adopt(self._path, self._reference.digest)

    def discard(self) -> None:
        """Forget what has arrived."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep what has arrived for a later attempt."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class BlobStore:
    """Blobs named by their SHA-256 under one folder, spread over 256 subfolders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where the blob lies, or would lie.

        Raises:
            InvalidArgumentError: The text is no digest.
        """
        require_digest(digest)
        return self._root / digest[:2] / digest

    def contains(self, digest: str) -> bool:
        """Tell whether the blob is here."""
        return self.path(digest).is_file()

    def write(self, content: bytes | memoryview) -> BlobReference:
        """Store content durably and return its reference. Storing it again costs only the digest."""
        return self.write_named(content, digest_of(content))

    def write_named(self, content: bytes | memoryview, digest: str) -> BlobReference:
        """Store content whose digest the caller has just computed, and return its reference.

        Raises:
            UnavailableError: The disk does not take it: it is full or broken. Nothing of it is left there.
        """
        if not self.contains(digest):
            aside = self._incoming / f"{digest}.{secrets.token_hex(8)}"
            try:
                _write_synced(aside, content)
                self.adopt(aside, digest)
            except BaseException as error:
                aside.unlink(missing_ok=True)
                if isinstance(error, OSError):
                    raise UnavailableError(
                        f"the disk of {self._root} takes no blob at present ({error.strerror}): make room on it"
                    ) from error
                raise
        return BlobReference(digest=digest, size_bytes=len(content))

    def write_verified(self, content: bytes, reference: BlobReference) -> None:
        """Store content that must be what a reference promised.

        Raises:
            CorruptError: Its digest or length differs.
        """
        require_promised(content, reference)
        self.write_named(content, reference.digest)

    def incoming(self, reference: BlobReference) -> Incoming:
        """Open a blob for arrival, at the offset that an earlier attempt reached."""
        return Incoming(self, reference, self._incoming / f"{reference.digest}.partial")

    def adopt(self, aside: Path, digest: str) -> None:
        """Move a verified, synced file into its place and sync the folder."""
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True)
            sync_folder(self._root)
        aside.replace(target)
        sync_folder(target.parent)

    def read(self, digest: str) -> bytes:
        """Return a blob's content, verified.

        Raises:
            NotFoundError: The blob is not here.
            CorruptError: The bytes on disk have changed.
        """
        try:
            content = self.path(digest).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"blob {digest} is not in this store") from error
        if digest_of(content) != digest:
            raise CorruptError(f"blob {digest} has changed on disk")
        return content

    def chunks(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a blob from an offset in pieces of 256 KiB, unverified: the receiver checks the digest.

        Raises:
            NotFoundError: The blob is not here.
        """
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"blob {digest} is not in this store") from error
        with file:
            file.seek(offset)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    def remove(self, digest: str) -> None:
        """Remove a blob; nothing happens when it is not here."""
        with contextlib.suppress(FileNotFoundError):
            self.path(digest).unlink()

    def digests(self) -> Iterator[str]:
        """Yield the digest of every blob here."""
        for path in self._root.glob("[0-9a-f][0-9a-f]/*"):
            yield path.name
