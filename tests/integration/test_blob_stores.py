"""One store of blobs, be it a folder or a bucket: the same tests for all, and what only a bucket can do wrong."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import obstore
import pytest

from bandwatch.artifacts.blobs import CHUNK_BYTES, Blobs, BlobStore, digest_of
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.artifacts.s3_blobs import S3Blobs, S3Place
from bandwatch.errors import (
    CorruptError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
)
from infra.local.ports import LOOPBACK, free_port
from tests.integration.s3_servers import SECRET, S3Server, moto, rclone

CONTENT = bytes(range(256)) * 3000
"""Three pieces of 256 KiB, less a little."""
MISSING = "0" * 64


@pytest.fixture(scope="module")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    folder = tmp_path_factory.mktemp("rclone")
    with rclone(folder / "log", folder / "buckets") as server:
        yield server


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """Give each of the two servers."""
    found: S3Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(params=["folder", "moto", "rclone"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """Give each kind of store, empty."""
    if request.param == "folder":
        return BlobStore(tmp_path / "blobs")
    server: S3Server = request.getfixturevalue(f"{request.param}_server")
    return S3Blobs(server.place(f"tests/{uuid4().hex}"))


def reference_to(content: bytes) -> BlobReference:
    return BlobReference(digest=digest_of(content), size_bytes=len(content))


@pytest.mark.parametrize("size_bytes", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 7])
def test_what_was_written_is_there_under_its_digest_and_comes_back_in_small_pieces(
    store: Blobs, size_bytes: int
) -> None:
    content = CONTENT[:size_bytes]
    assert not store.contains(digest_of(content))
    assert store.write(content) == reference_to(content)
    assert store.contains(digest_of(content))
    pieces = list(store.chunks(digest_of(content)))
    assert b"".join(pieces) == content
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)


@pytest.mark.parametrize("offset", [1, CHUNK_BYTES - 1, CHUNK_BYTES, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 1])
def test_pieces_from_an_offset_are_the_rest(store: Blobs, offset: int) -> None:
    digest = store.write(CONTENT).digest
    assert b"".join(store.chunks(digest, offset)) == CONTENT[offset:]


def test_writing_the_same_again_is_harmless(store: Blobs) -> None:
    assert store.write(CONTENT) == store.write(memoryview(CONTENT)) == store.write_named(CONTENT, digest_of(CONTENT))
    assert b"".join(store.chunks(digest_of(CONTENT))) == CONTENT


def test_many_writers_of_one_blob_leave_one_whole_blob(store: Blobs) -> None:
    with ThreadPoolExecutor(4) as threads:
        references = set(threads.map(lambda _: store.write(CONTENT), range(12)))
    assert references == {reference_to(CONTENT)}
    assert b"".join(store.chunks(digest_of(CONTENT))) == CONTENT


def test_what_is_not_there_is_not_found(store: Blobs) -> None:
    assert not store.contains(MISSING)
    with pytest.raises(NotFoundError, match="is not in this store"):
        list(store.chunks(MISSING))


@pytest.mark.parametrize("arrived", [CONTENT[:-1], CONTENT[:-1] + b"x", CONTENT + b"x"])
def test_only_what_was_promised_is_stored(store: Blobs, arrived: bytes) -> None:
    with pytest.raises(CorruptError, match="arrived changed"):
        store.write_verified(arrived, reference_to(CONTENT))
    assert not store.contains(digest_of(CONTENT))
    store.write_verified(CONTENT, reference_to(CONTENT))
    assert store.contains(digest_of(CONTENT))


USES: dict[str, Callable[[Blobs, str], object]] = {
    "contains": lambda store, name: store.contains(name),
    "chunks": lambda store, name: list(store.chunks(name)),
    "write_named": lambda store, name: store.write_named(b"content", name),
}


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "A" * 64, "0" * 63, MISSING + "\n"])
@pytest.mark.parametrize("use", USES)
def test_a_name_that_is_no_digest_never_becomes_a_key(store: Blobs, use: str, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="64 lower-case hexadecimal digits"):
        USES[use](store, name)


def test_a_byte_that_changed_in_the_bucket_is_noticed_before_the_end(server: S3Server) -> None:
    store = S3Blobs(server.place(f"tests/{uuid4().hex}"))
    digest = store.write(CONTENT).digest
    obstore.put(store._store, f"{digest[:2]}/{digest}", bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
    for offset in (0, len(CONTENT) - 10):
        given = bytearray()
        with pytest.raises(CorruptError, match="has changed in s3://bandwatch/tests"):
            list(map(given.extend, store.chunks(digest, offset)))
        assert len(given) < len(CONTENT[offset:])


def test_a_whole_blob_is_not_written_twice_where_the_server_takes_conditions(moto_server: S3Server) -> None:
    store = S3Blobs(moto_server.place(f"tests/{uuid4().hex}"))
    digest = store.write(CONTENT).digest
    first = obstore.head(store._store, f"{digest[:2]}/{digest}")
    obstore.put(store._store, f"{digest[:2]}/{digest}", b"marked")
    store.write(CONTENT)
    assert obstore.head(store._store, f"{digest[:2]}/{digest}")["e_tag"] != first["e_tag"]


def test_a_folder_of_blobs_may_be_copied_into_a_bucket(server: S3Server, tmp_path: Path) -> None:
    digest = BlobStore(tmp_path).write(CONTENT).digest
    store = S3Blobs(server.place(f"tests/{uuid4().hex}"))
    obstore.put(store._store, str(BlobStore(tmp_path).path(digest).relative_to(tmp_path)), CONTENT)
    assert b"".join(store.chunks(digest)) == CONTENT


def test_a_wrong_secret_is_refused_with_a_sentence_that_does_not_hold_it(rclone_server: S3Server) -> None:
    store = S3Blobs(rclone_server.place("tests", secret="wrong-secret"))  # noqa: S106 - it is wrong
    sentence = "s3://bandwatch/tests at http.* refuses these credentials: check the access key, its secret"
    with pytest.raises(FailedPreconditionError, match=sentence):
        store.check()
    for use in (lambda: store.write(CONTENT), lambda: store.contains(MISSING), lambda: list(store.chunks(MISSING))):
        with pytest.raises(UnavailableError, match=sentence) as caught:
            use()
        assert "wrong-secret" not in f"{caught.value!r} {caught.value.__cause__!r} {store!r}"
    assert SECRET not in repr(rclone_server.place("tests"))


def test_a_bucket_that_is_not_there_is_named(rclone_server: S3Server) -> None:
    store = S3Blobs(rclone_server.place("tests", bucket="elsewhere"))
    with pytest.raises(FailedPreconditionError, match=r"s3://elsewhere/tests .* create the bucket"):
        store.check()
    with pytest.raises(UnavailableError, match="create the bucket"):
        store.write(CONTENT)


def test_a_place_that_is_sound_passes_the_check(server: S3Server) -> None:
    S3Blobs(server.place("tests")).check()


def test_a_server_that_is_away_is_said_to_be_away() -> None:
    store = S3Blobs(S3Server("none", free_port()).place("tests"))
    for use in (store.check, lambda: store.write(CONTENT), lambda: list(store.chunks(MISSING))):
        with pytest.raises(UnavailableError, match="does not answer at present; try again soon"):
            use()


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"connect_timeout": "1 second", "read_timeout": "1 second", "timeout": "5 seconds"}
    monkeypatch.setattr("bandwatch.artifacts.s3_blobs._CLIENT", limits)
    with socket.create_server((LOOPBACK, 0)) as silent:
        store = S3Blobs(S3Server("none", silent.getsockname()[1]).place("tests"))
        with pytest.raises(UnavailableError, match="does not answer"):
            store.write(CONTENT)


class _Unconditional(BaseHTTPRequestHandler):
    """A server that knows no conditions on a write, and says so."""

    protocol_version = "HTTP/1.1"
    seen: list[str | None]

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.headers.get("If-None-Match"))
        self.send_response(501 if self.seen[-1] else 200)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"e"')
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_that_refuses_conditions_is_written_to_without_them() -> None:
    seen: list[str | None] = []
    handler = type("Handler", (_Unconditional,), {"seen": seen})
    with ThreadingHTTPServer((LOOPBACK, 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        store = S3Blobs(S3Server("none", httpd.server_address[1]).place("tests"))
        store.write(CONTENT)
        store.write(CONTENT[1:])
        httpd.shutdown()
    assert set(seen[:-2]) == {"*"}
    assert seen[-2:] == [None, None]


def test_a_key_without_its_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    with pytest.raises(InvalidArgumentError, match="both or neither"):
        S3Blobs(S3Place("bandwatch", "tests", access_key_id="a"))


def test_a_place_shows_everything_but_its_secret() -> None:
    place = S3Place("bandwatch", "tests", secret_access_key=SECRET)
    assert re.fullmatch(r"S3Place\(bucket='bandwatch', prefix='tests', .*\)", repr(place))
    assert SECRET not in repr(place)
