"""A content-addressed store in a bucket of S3: the same names as in a folder, and only whole blobs."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from bandwatch.artifacts.blobs import CHUNK_BYTES, digest_of, require_digest, require_promised
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import (
    CorruptError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)

if TYPE_CHECKING:  # obstore has these names in its stubs only
    from obstore.store import ClientConfig, RetryConfig, S3Config

_CLIENT: Final["ClientConfig"] = {
    "connect_timeout": timedelta(seconds=5),
    "read_timeout": timedelta(seconds=15),  # S3 must say something this often
    "timeout": timedelta(minutes=5),  # and a slow receiver must have taken a blob by then
}
_RETRY: Final["RetryConfig"] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=2), "base": 2},
}
"""With the limits above, a call that needs S3 ends within its own deadline."""
_NOT_IMPLEMENTED: Final = "501 Not Implemented"
_PROBE: Final = b"Bandwatch can write here."


@dataclass(frozen=True)
class S3Place:
    """A bucket, a folder in it, and how to get there; what is None comes from the AWS_... environment."""

    bucket: str
    prefix: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)

    def config(self) -> "S3Config":
        """Return what is set, in obstore's words."""
        chosen: S3Config = {}
        if self.endpoint is not None:
            chosen["endpoint"] = self.endpoint
        if self.region is not None:
            chosen["region"] = self.region
        if self.access_key_id is not None:
            chosen["access_key_id"] = self.access_key_id
        if self.secret_access_key is not None:
            chosen["secret_access_key"] = self.secret_access_key
        return chosen


class S3Blobs:
    """Blobs named by their SHA-256 under a prefix of a bucket, laid out as a folder of blobs is.

    Every request has a limit of time and is retried a few times. May be used by several threads.

    Raises:
        InvalidArgumentError: The place is not whole.
        UnavailableError: S3 cannot be reached, or does not let us in.
    """

    def __init__(self, place: S3Place) -> None:
        self._place = place
        client: ClientConfig = {**_CLIENT, "allow_http": (place.endpoint or "").startswith("http://")}
        try:
            self._store = S3Store(
                place.bucket, prefix=place.prefix, config=place.config(), client_options=client, retry_config=_RETRY
            )
        except BaseError as error:
            raise InvalidArgumentError(
                f"{self._name} cannot be used as it is set: give the access key and its secret, both or neither"
            ) from error
        self._takes_conditions = True

    def check(self) -> None:
        """See that blobs can be written and read.

        Raises:
            FailedPreconditionError: S3 answers, and does not let us in or has no such bucket.
            UnavailableError: It does not answer.
        """
        digest = digest_of(_PROBE)
        try:
            obstore.put(self._store, _key(digest), _PROBE, use_multipart=False)
            bytes(obstore.get(self._store, _key(digest)).bytes())
        except (PermissionDeniedError, UnauthenticatedError, FileNotFoundError) as error:
            raise FailedPreconditionError(self._sentence(error)) from error
        except BaseError as error:
            raise UnavailableError(self._sentence(error)) from error

    def contains(self, digest: str) -> bool:
        """Tell whether the blob is here."""
        key = _key(digest)
        try:
            with self._faults(digest):
                obstore.head(self._store, key)
        except NotFoundError:
            return False
        return True

    def write(self, content: bytes | memoryview) -> BlobReference:
        """Store content durably and return its reference."""
        return self.write_named(content, digest_of(content))

    def write_named(self, content: bytes | memoryview, digest: str) -> BlobReference:
        """Store content whose digest the caller has just computed, and return its reference.

        Where the server takes conditions, a blob that is here already is not written again.
        """
        key = _key(digest)
        with self._faults():
            if not (self._takes_conditions and self._created(key, content)):
                obstore.put(self._store, key, content, use_multipart=False)
        return BlobReference(digest=digest, size_bytes=len(content))

    def _created(self, key: str, content: bytes | memoryview) -> bool:
        """Write what is not here yet, and tell whether it is here now: some servers know no conditions."""
        try:
            obstore.put(self._store, key, content, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return True
        except BaseError as error:
            if _NOT_IMPLEMENTED not in str(error):
                raise
            self._takes_conditions = False
        return self._takes_conditions

    def write_verified(self, content: bytes, reference: BlobReference) -> None:
        """Store content that must be what a reference promised.

        Raises:
            CorruptError: Its digest or length differs.
        """
        require_promised(content, reference)
        self.write_named(content, reference.digest)

    def chunks(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """Yield a blob from an offset in pieces of 256 KiB at most, verified: where it has changed, its end is missing.

        It is read from its start even so, because only then its digest can be told, and because not every server
        answers a request for a part as it should.

        Raises:
            NotFoundError: The blob is not here.
            CorruptError: The bytes in the bucket have changed.
        """
        seen, start, last = hashlib.sha256(), 0, memoryview(b"")
        for piece in self._pieces(digest):
            yield from _cut(last)
            seen.update(piece)
            last = memoryview(piece)[max(0, offset - start) :]
            start += len(piece)
        if seen.hexdigest() != digest:
            raise CorruptError(f"blob {digest} has changed in {self._name}")
        yield from _cut(last)

    def _pieces(self, digest: str) -> Iterator[bytes]:
        key = _key(digest)
        with self._faults(digest):
            stream = obstore.get(self._store, key).stream(min_chunk_size=CHUNK_BYTES)
        while True:
            with self._faults():
                piece = next(stream, None)
            if piece is None:
                return
            yield piece

    @property
    def _name(self) -> str:
        return f"s3://{self._place.bucket}/{self._place.prefix}"

    @contextmanager
    def _faults(self, digest: str | None = None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if digest is None:
                raise UnavailableError(self._sentence(error)) from error
            raise NotFoundError(f"blob {digest} is not in this store") from error
        except BaseError as error:
            raise UnavailableError(self._sentence(error)) from error

    def _sentence(self, error: Exception) -> str:
        """Say what is wrong. What S3 itself says names keys and signatures, so it is left out."""
        where = f"{self._name} at {self._place.endpoint or 'Amazon'}"
        if isinstance(error, FileNotFoundError):
            return f"{where} does not exist: create the bucket, or name another one"
        if isinstance(error, PermissionDeniedError | UnauthenticatedError):
            return f"{where} refuses these credentials: check the access key, its secret, and what it may do"
        return f"{where} does not answer at present; try again soon"


def _key(digest: str) -> str:
    require_digest(digest)
    return f"{digest[:2]}/{digest}"


def _cut(piece: memoryview) -> Iterator[bytes]:
    for start in range(0, len(piece), CHUNK_BYTES):
        yield bytes(piece[start : start + CHUNK_BYTES])
