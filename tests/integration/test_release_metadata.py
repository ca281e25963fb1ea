"""The coordinator's signed metadata in a real database, read by the agent's own client."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.keys import make_keys
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.artifacts.release_metadata import Lives, bin_of
from bandwatch.artifacts.signing import OnlineKeyFiles, new_key
from bandwatch.errors import FailedPreconditionError, NotFoundError
from bandwatch.wire.content import content_from_message
from coordinator.registry import schema
from coordinator.registry.entities import Band, LinkDirection, Model, Release, ReleaseState
from coordinator.registry.identities import AuditEntry
from coordinator.registry.release_metadata import MetadataFile
from coordinator.registry.session import Registry
from coordinator.services.releasing import release_metadata, rotations
from coordinator.services.releasing.publisher import Publisher
from observer_agent.models.desired import AssignedRelease
from observer_agent.models.trust import NotReleasedError, OldMetadataError, ReleaseTrust
from tests.integration import trained_models


def manifest_of(serial: int) -> Manifest:
    """Return the manifest of a release for cell oak."""
    return Manifest(
        serial=serial,
        model=f"models/m{serial}",
        band="bands/north",
        cell="cells/oak",
        parent=None,
        run="runs/r",
        content=content_from_message(trained_models.content(serial)),
        created_at=datetime.now(UTC),
    )


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    """Give a registry with the newest schema."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    await asyncio.to_thread(schema.migrate, url)
    registry = Registry(url, connections=4)
    yield registry
    await registry.close()


@pytest.fixture
async def publisher(registry: Registry, tmp_path: Path) -> Publisher:
    """Give what signs releases, with the metadata of a new deployment."""
    keys = tmp_path / "keys"
    make_keys(keys)
    publisher = Publisher(
        BlobStore(tmp_path / "models"),
        OnlineKeyFiles(keys / "signing.key", keys / "timestamp.key"),
        keys / "release-root.json",
        Lives(timedelta(days=1)),
    )
    async with registry.transaction() as session:
        await publisher.prepare(session)
    return publisher


class Observer:
    """Believes through the agent's own client, and counts what it fetches."""

    def __init__(self, folder: Path, root: bytes, registry: Registry) -> None:
        self.trust = ReleaseTrust(folder, root)
        self.registry = registry
        self.fetched: list[tuple[str, int]] = []

    async def believe(self, serial: int, manifest: BlobReference) -> None:
        """Check a release against the newest metadata."""
        loop = asyncio.get_running_loop()

        def fetch(file: str) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._read(file), loop).result()

        self.fetched.clear()
        await asyncio.to_thread(self.trust.check, AssignedRelease(serial=serial, manifest=manifest), fetch)

    async def _read(self, file: str) -> bytes:
        async with self.registry.transaction() as session:
            content = await release_metadata.read(session, file)
        self.fetched.append((file, len(content)))
        return content

    @property
    def fetched_bytes(self) -> int:
        """Bytes of files that came in the last check."""
        return sum(size for _, size in self.fetched)


@pytest.fixture
def observer(tmp_path: Path, registry: Registry, publisher: Publisher) -> Observer:
    """Give an observer that pinned the first root."""
    return Observer(tmp_path / "trust", publisher.root_file.read_bytes(), registry)


async def publish(registry: Registry, publisher: Publisher, serial: int) -> BlobReference:
    async with registry.transaction() as session:
        return await publisher.publish(session, manifest_of(serial))


async def test_a_published_release_is_believed_and_a_withdrawn_one_is_not(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    first, second = [await publish(registry, publisher, serial) for serial in (1, 2)]
    await observer.believe(1, first)
    await observer.believe(2, second)
    async with registry.transaction() as session:
        await publisher.withdraw(session, 1, 77)
    with pytest.raises(NotReleasedError):
        await observer.believe(1, first)
    await observer.believe(2, second)


async def test_a_release_that_was_rolled_back_with_its_transaction_is_not_believed(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    async with registry.transaction() as session:
        reference = await publisher.publish(session, manifest_of(1))
        await session.rollback()
    with pytest.raises(NotReleasedError):
        await observer.believe(1, reference)


async def test_a_release_with_another_digest_or_length_is_not_believed(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    reference = await publish(registry, publisher, 1)
    for other in (
        reference.model_copy(update={"digest": "0" * 64}),
        reference.model_copy(update={"size_bytes": reference.size_bytes + 1}),
    ):
        with pytest.raises(NotReleasedError):
            await observer.believe(1, other)
    with pytest.raises(NotReleasedError):
        await observer.believe(2, reference)


async def test_releases_that_are_published_at_the_same_time_are_all_believed(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    references = await asyncio.gather(*(publish(registry, publisher, serial) for serial in range(1, 21)))
    for serial, reference in enumerate(references, 1):
        await observer.believe(serial, reference)
    async with registry.transaction() as session:
        assert await session.scalar(select(func.max(MetadataFile.version)).where(MetadataFile.role == "snapshot")) == 21


async def test_a_second_start_changes_nothing(registry: Registry, publisher: Publisher) -> None:
    async with registry.transaction() as session:
        before = await release_metadata.newest(session, release_metadata.WHOLE)
        await publisher.prepare(session)
        assert await release_metadata.newest(session, release_metadata.WHOLE) == before


async def test_starts_at_the_same_time_make_one_set(registry: Registry, publisher: Publisher) -> None:
    async with registry.transaction() as session:
        await session.execute(text("TRUNCATE release_metadata"))

    async def start() -> None:
        async with registry.transaction() as session:
            await publisher.prepare(session)

    await asyncio.gather(*(start() for _ in range(3)))
    async with registry.transaction() as session:
        assert await session.scalar(select(func.max(MetadataFile.version))) == 1


@pytest.mark.parametrize(
    "file", ["snapshot.json", "2.timestamp.json", "7.root.json", "none.json", "root", "1.bins-zz.json"]
)
@pytest.mark.usefixtures("publisher")
async def test_a_file_that_does_not_exist_is_not_found(registry: Registry, file: str) -> None:
    async with registry.transaction() as session:
        with pytest.raises(NotFoundError):
            await release_metadata.read(session, file)


async def test_what_is_fresh_is_not_signed_again_and_what_grows_old_is(
    registry: Registry, publisher: Publisher
) -> None:
    async def refreshed(after: timedelta) -> set[str]:
        later = replace(publisher, now=lambda: datetime.now(UTC) + after)
        async with registry.transaction() as session:
            before = await release_metadata.newest(session, release_metadata.WHOLE)
            await later.refresh(session)
            now = await release_metadata.newest(session, release_metadata.WHOLE)
        return {role for role in now if now[role] != before[role]}

    assert await refreshed(timedelta(hours=7)) == set()
    assert await refreshed(timedelta(hours=9)) == {"timestamp"}
    assert await refreshed(timedelta(days=31)) == set(release_metadata.WHOLE)
    assert await refreshed(timedelta(days=31)) == set()


async def test_old_versions_go_after_an_hour_and_roots_stay(registry: Registry, publisher: Publisher) -> None:
    await publish(registry, publisher, 7)
    await rotations.rotate_signing_keys(registry, publisher, publisher.keys.naming.with_name("root.key"))
    async with registry.transaction() as session:
        await session.execute(text("UPDATE release_metadata SET made_at = made_at - interval '2 hours'"))
        await publisher.withdraw(session, 7)
        await release_metadata.drop_old(session)
        left: dict[str, list[int]] = dict(
            (await session.execute(text("SELECT role, array_agg(version) FROM release_metadata GROUP BY 1"))).all()
        )
    assert sorted(left["root"]) == [1, 2]
    assert sorted(left[bin_of(7)]) == [3, 4], "version 3 has had a successor for a moment only"
    assert {tuple(left[role]) for role in ("targets", "bins-00")} == {(2,)}


async def test_a_release_that_ended_long_ago_is_withdrawn_when_its_file_is_written_next(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    serial, long_ago = 7, datetime.now(UTC) - timedelta(days=31)
    beside = next(number for number in range(100, 10_000) if bin_of(number) == bin_of(serial))
    recent = next(number for number in range(beside + 1, 20_000) if bin_of(number) == bin_of(serial))
    references = {number: await publish(registry, publisher, number) for number in (serial, recent)}
    async with registry.transaction() as session:
        session.add(Band(id="b", title="", center_hz=1e9, width_hz=5e6, direction=LinkDirection.DOWNLINK))
        await session.flush()
        session.add(Model(id="m", band_id="b", content={}))
        await session.flush()
        for number, ended_at in ((serial, long_ago), (recent, datetime.now(UTC))):
            made = {"model_id": "m", "band_id": "b", "manifest_digest": "0" * 64, "manifest_bytes": 1}
            session.add(Release(serial=number, state=ReleaseState.SUPERSEDED, state_at=ended_at, **made))
    await observer.believe(serial, references[serial])
    await publish(registry, publisher, beside)
    with pytest.raises(NotReleasedError):
        await observer.believe(serial, references[serial])
    await observer.believe(recent, references[recent])


async def test_after_a_rotation_of_signing_keys_agents_follow_and_the_old_keys_sign_nothing(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    first = await publish(registry, publisher, 1)
    await observer.believe(1, first)
    folder = publisher.keys.naming.parent
    old = {path.name: path.read_bytes() for path in (publisher.keys.naming, publisher.keys.dating)}
    root = await rotations.rotate_signing_keys(registry, publisher, folder / "root.key")
    assert root.version == 2
    async with registry.transaction() as session:
        entry = await session.scalar(select(AuditEntry).where(AuditEntry.subject == "release_metadata root 2"))
    assert entry is not None
    assert (entry.actor, entry.action) == ("host", "rotate-signing-key")
    assert publisher.root_file.read_bytes() == root.content
    second = await publish(registry, publisher, 2)
    await observer.believe(1, first)
    await observer.believe(2, second)
    for name, key in old.items():
        (folder / name).write_bytes(key)
    with pytest.raises(FailedPreconditionError, match="rotate-signing-key"):
        await publish(registry, publisher, 3)
    async with registry.transaction() as session:
        with pytest.raises(FailedPreconditionError, match="rotate-signing-key"):
            await publisher.prepare(session)
    assert not list(folder.glob("next-*"))


async def test_a_rotation_that_broke_off_before_its_keys_were_in_place_is_made_whole_by_another(
    registry: Registry, publisher: Publisher, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await publish(registry, publisher, 1)
    root_key = publisher.keys.naming.with_name("root.key")

    def break_off(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(rotations, "_put_in_place", break_off)
        with pytest.raises(KeyboardInterrupt):
            await rotations.rotate_signing_keys(registry, publisher, root_key)
    with pytest.raises(FailedPreconditionError, match="rotate-signing-key"):
        await publish(registry, publisher, 2)
    await rotations.rotate_signing_keys(registry, publisher, root_key)
    second = await publish(registry, publisher, 2)
    await observer.believe(1, first)
    await observer.believe(2, second)


async def test_after_a_rotation_of_the_root_key_agents_follow_and_the_old_one_makes_no_root(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    root_key = publisher.keys.naming.with_name("root.key")
    old = root_key.read_bytes()
    await rotations.rotate_root_key(registry, publisher, root_key)
    await rotations.rotate_signing_keys(registry, publisher, root_key)
    await rotations.rotate_root_key(registry, publisher, root_key)
    first = await publish(registry, publisher, 1)
    await observer.believe(1, first)
    assert [file for file, _ in observer.fetched if "root" in file] == ["2.root.json", "3.root.json", "4.root.json"]
    root_key.write_bytes(old)
    with pytest.raises(FailedPreconditionError, match="name the file"):
        await rotations.rotate_signing_keys(registry, publisher, root_key)


async def test_keys_that_were_never_named_are_believed_by_nobody(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    first = await publish(registry, publisher, 1)
    await observer.believe(1, first)
    publisher.keys.dating.write_bytes(new_key().private_bytes)
    with pytest.raises(FailedPreconditionError):
        await publish(registry, publisher, 2)


async def test_a_registry_restored_from_an_older_backup_is_refused_until_its_keys_are_rotated(
    registry: Registry, publisher: Publisher, observer: Observer
) -> None:
    first = await publish(registry, publisher, 1)
    for serial in (2, 3):
        newest = await publish(registry, publisher, serial)
    await observer.believe(3, newest)
    async with registry.transaction() as session:
        await session.execute(text("DELETE FROM release_metadata WHERE role <> 'root' AND version > 2"))
    with pytest.raises(OldMetadataError):
        await observer.believe(1, first)
    await rotations.rotate_signing_keys(registry, publisher, publisher.keys.naming.with_name("root.key"))
    await observer.believe(1, first)


async def test_a_steady_check_is_one_small_file_and_one_after_a_release_three(
    registry: Registry, publisher: Publisher, observer: Observer, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await publish(registry, publisher, 1)
    await observer.believe(1, first)
    beginning = observer.fetched_bytes
    await observer.believe(1, first)
    steady, steady_files = observer.fetched_bytes, [file for file, _ in observer.fetched]
    second = await publish(registry, publisher, 2)
    await observer.believe(2, second)
    grown = observer.fetched_bytes
    figures = f"metadata: first check {beginning} bytes, steady {steady} bytes, after one release {grown} bytes"
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
    assert steady_files == ["timestamp.json"]
    assert len(observer.fetched) == 3
    assert steady < 600
    assert grown < 20_000
