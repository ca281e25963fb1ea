"""A content-addressed store: what is here is what its name says, and what is not whole is not here."""

import hashlib
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandwatch.artifacts.blobs import CHUNK_BYTES, BlobStore
from bandwatch.artifacts.manifest import BlobReference
from bandwatch.errors import CorruptError, InvalidArgumentError, NotFoundError, UnavailableError

CONTENT = bytes(range(256)) * 40
MISSING = "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def reference_to(content: bytes) -> BlobReference:
    return BlobReference(digest=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def left_aside(store: BlobStore) -> list[Path]:
    """Return the files that are on their way in."""
    return list((store._root / "incoming").iterdir())


@pytest.mark.parametrize("size_bytes", [1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_a_blob_is_named_by_its_sha_256_and_read_as_it_was_written(store: BlobStore, size_bytes: int) -> None:
    content = (CONTENT * (size_bytes // len(CONTENT) + 1))[:size_bytes]
    reference = store.write(content)
    assert reference == reference_to(content)
    assert store.contains(reference.digest)
    assert store.read(reference.digest) == content
    assert b"".join(store.chunks(reference.digest)) == content
    assert left_aside(store) == []


def test_another_store_on_the_same_folder_sees_the_blob(store: BlobStore) -> None:
    assert BlobStore(store._root).read(store.write(CONTENT).digest) == CONTENT


def test_the_same_content_twice_is_stored_once(store: BlobStore) -> None:
    first, second = store.write(CONTENT), store.write(memoryview(CONTENT))
    assert first == second
    assert list(store.digests()) == [first.digest]


@settings(max_examples=30, deadline=None)
@given(offset=st.integers(0, 2 * CHUNK_BYTES + 10))
def test_chunks_from_an_offset_are_the_rest_of_the_blob(tmp_path_factory: pytest.TempPathFactory, offset: int) -> None:
    content = hashlib.shake_128(b"chunks").digest(2 * CHUNK_BYTES + 1)
    store = BlobStore(tmp_path_factory.getbasetemp() / "chunked")
    chunks = list(store.chunks(store.write(content).digest, offset))
    assert b"".join(chunks) == content[offset:]
    assert all(0 < len(chunk) <= CHUNK_BYTES for chunk in chunks)


def test_a_removed_blob_is_gone_and_removing_it_again_is_harmless(store: BlobStore) -> None:
    digest = store.write(CONTENT).digest
    store.remove(digest)
    store.remove(digest)
    assert not store.contains(digest)
    assert list(store.digests()) == []


def test_a_blob_that_is_not_here_is_not_found(store: BlobStore) -> None:
    assert not store.contains(MISSING)
    for read in (store.read, lambda digest: list(store.chunks(digest))):
        with pytest.raises(NotFoundError, match="is not in this store"):
            read(MISSING)


def test_a_write_that_fails_half_way_leaves_nothing_behind(store: BlobStore) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as if the disk were full
    try:
        with pytest.raises(UnavailableError, match=r"File too large.*make room on it"):
            store.write(CONTENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left_aside(store) == []
    assert store.read(store.write(CONTENT).digest) == CONTENT


@pytest.mark.parametrize("position", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_a_byte_that_changed_on_disk_is_noticed(store: BlobStore, position: int) -> None:
    digest = store.write(CONTENT).digest
    damaged = bytearray(CONTENT)
    damaged[position] ^= 1
    store.path(digest).write_bytes(damaged)
    with pytest.raises(CorruptError, match="has changed on disk"):
        store.read(digest)


def test_a_blob_cut_short_on_disk_is_noticed(store: BlobStore) -> None:
    digest = store.write(CONTENT).digest
    store.path(digest).write_bytes(CONTENT[:-1])
    with pytest.raises(CorruptError, match="has changed on disk"):
        store.read(digest)


NO_DIGESTS = [
    "",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "0" * 63,
    "0" * 65,
    "A" * 64,
    "0" * 62 + "/.",
    MISSING + "\n",
]
USES: dict[str, Callable[[BlobStore, str], object]] = {
    "path": BlobStore.path,
    "contains": BlobStore.contains,
    "read": BlobStore.read,
    "chunks": lambda store, name: next(store.chunks(name)),
    "remove": BlobStore.remove,
    "write": lambda store, name: store.write_named(b"content", name),
}


@pytest.mark.parametrize("name", NO_DIGESTS)
@pytest.mark.parametrize("use", USES)
def test_a_name_that_is_no_digest_never_becomes_a_path(store: BlobStore, use: str, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="64 lower-case hexadecimal digits"):
        USES[use](store, name)
    assert left_aside(store) == []


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=5), breaks=st.sets(st.integers(0, 5)))
def test_a_transfer_resumes_where_it_broke_off_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], breaks: set[int]
) -> None:
    store = BlobStore(tmp_path_factory.mktemp("resumed"))
    reference = reference_to(CONTENT)
    edges = [0, *sorted(cuts), len(CONTENT)]
    incoming = store.incoming(reference)
    for number, (start, stop) in enumerate(pairwise(edges)):
        if number in breaks:
            incoming.close()
            incoming = store.incoming(reference)
        assert incoming.offset == start
        incoming.append(CONTENT[start:stop])
    assert not store.contains(reference.digest)
    incoming.finish()
    assert store.read(reference.digest) == CONTENT
    assert left_aside(store) == []


def test_what_arrived_before_a_crash_is_kept_and_counted(store: BlobStore) -> None:
    with store.incoming(reference_to(CONTENT)) as incoming:
        incoming.append(CONTENT[:1000])
    again = BlobStore(store._root).incoming(reference_to(CONTENT))
    with again:
        assert again.offset == 1000


def test_more_than_was_promised_is_refused_and_forgotten(store: BlobStore) -> None:
    incoming = store.incoming(reference_to(CONTENT))
    incoming.append(CONTENT)
    with pytest.raises(CorruptError, match="longer than its"):
        incoming.append(b"x")
    assert left_aside(store) == []


@pytest.mark.parametrize("arrived", [CONTENT[:-1], CONTENT[:-1] + b"x", b""])
def test_what_is_not_what_was_promised_is_refused_and_forgotten(store: BlobStore, arrived: bytes) -> None:
    reference = reference_to(CONTENT)
    incoming = store.incoming(reference)
    incoming.append(arrived)
    with pytest.raises(CorruptError, match="arrived changed"):
        incoming.finish()
    assert not store.contains(reference.digest)
    with store.incoming(reference) as again:
        assert again.offset == 0


@pytest.mark.parametrize("arrived", [CONTENT[:-1], CONTENT[:-1] + b"x", CONTENT + b"x"])
def test_a_verified_write_takes_what_was_promised_only(store: BlobStore, arrived: bytes) -> None:
    with pytest.raises(CorruptError, match="arrived changed"):
        store.write_verified(arrived, reference_to(CONTENT))
    assert list(store.digests()) == []
    store.write_verified(CONTENT, reference_to(CONTENT))
    assert store.read(reference_to(CONTENT).digest) == CONTENT


def test_many_writers_of_one_blob_at_the_same_time_leave_one_whole_blob(store: BlobStore) -> None:
    content = CONTENT * 20
    with ThreadPoolExecutor(8) as threads:
        references = list(threads.map(BlobStore.write, [store] * 32, [content] * 32))
    assert set(references) == {reference_to(content)}
    assert store.read(references[0].digest) == content
    assert left_aside(store) == []
