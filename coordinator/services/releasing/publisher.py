"""Puts manifests into the store and signs for them: what an agent believes of releases is made here."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch.artifacts.blobs import Blobs
from bandwatch.artifacts.manifest import BlobReference, Manifest
from bandwatch.artifacts.release_metadata import Lives, MetadataEdit, bin_of, first_files
from bandwatch.artifacts.release_roots import SNAPSHOT, TARGETS, TIMESTAMP, ReleaseRoot
from bandwatch.artifacts.signing import OnlineKeyFiles
from bandwatch.errors import NotFoundError
from coordinator.registry.entities import Release, ReleaseState
from coordinator.services.releasing import release_metadata as metadata

ROOT_WARNING: Final = timedelta(days=60)
KEPT_AFTER_ITS_END: Final = timedelta(days=30)
"""How long a superseded release stays believable, for whoever is sent back to it."""
_log: Final = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Publisher:
    """What it takes to release: the keys that sign, and the store that observers fetch from."""

    blobs: Blobs
    keys: OnlineKeyFiles
    root_file: Path
    lives: Lives
    now: Callable[[], datetime] = field(default=_now)

    async def prepare(self, session: AsyncSession) -> None:
        """Make the metadata of a new deployment; nothing happens where there is one.

        Raises:
            NotFoundError: There is no root of trust to begin with.
            FailedPreconditionError: The keys are not those that the root names.
        """
        await metadata.lock(session)
        if await metadata.newest(session, [TIMESTAMP]):
            (await metadata.current_root(session)).require(self.keys.load())
            return
        root = ReleaseRoot.parse(self._read_root())
        metadata.store_root(session, root)
        metadata.store(session, first_files(root, self.keys.load(), self.lives, self.now()))

    def _read_root(self) -> bytes:
        try:
            return self.root_file.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(
                f"there is no {self.root_file}: make it with `bandwatch-coordinator make-keys`"
            ) from error

    async def publish(self, session: AsyncSession, manifest: Manifest) -> BlobReference:
        """Store a manifest and sign that this release exists; agents believe it once the transaction is committed.

        Raises:
            FailedPreconditionError: The keys are not those that the root of trust names.
        """
        content = manifest.to_bytes()
        reference = await asyncio.to_thread(self.blobs.write, content)
        edit = await self._edit(session, [manifest.serial])
        edit.name(manifest.serial, content, {"band": manifest.band, "cell": manifest.cell})
        await self._sign(session, edit)
        return reference

    async def withdraw(self, session: AsyncSession, *serials: int) -> None:
        """Say no more that these releases exist. Agents that run one go on; none begins to.

        Raises:
            FailedPreconditionError: The keys are not those that the root of trust names.
        """
        edit = await self._edit(session, serials)
        for serial in serials:
            edit.withdraw(serial)
        if edit.changed:
            await self._sign(session, edit)

    async def refresh(self, session: AsyncSession) -> bool:
        """Sign again what has used up a third of its life, and tell whether anything had. Agents refuse what ended.

        Raises:
            FailedPreconditionError: The keys are not those that the root of trust names.
        """
        if not await metadata.try_lock(session):
            return False
        files = await metadata.newest(session, [TARGETS, SNAPSHOT, TIMESTAMP])
        if not files:
            return False
        edit = MetadataEdit(files)
        if edit.is_due(TARGETS, self.now(), self.lives.contents):
            edit = MetadataEdit(await metadata.newest(session, metadata.WHOLE))
            edit.renew()
        elif not edit.is_due(TIMESTAMP, self.now(), self.lives.timestamp):
            return False
        await self._sign(session, edit)
        await metadata.drop_old(session)
        return True

    async def rotate(self, session: AsyncSession, root: ReleaseRoot) -> None:
        """Take a new root into use, and sign everything again with the keys that it names.

        Raises:
            FailedPreconditionError: The keys are not those.
        """
        await metadata.lock(session)
        metadata.store_root(session, root)
        edit = MetadataEdit(await metadata.newest(session, metadata.WHOLE))
        edit.delegate(self.keys.load())
        await self._sign(session, edit)

    async def _edit(self, session: AsyncSession, serials: Iterable[int]) -> MetadataEdit:
        """Begin with the roles that name these releases, without those in them that ended long ago."""
        await metadata.lock(session)
        roles = {bin_of(serial) for serial in serials} | {SNAPSHOT, TIMESTAMP}
        edit = MetadataEdit(await metadata.newest(session, roles))
        for serial in await _long_ended(session, edit.serials, self.now()):
            edit.withdraw(serial)
        return edit

    async def _sign(self, session: AsyncSession, edit: MetadataEdit) -> None:
        root, now = await metadata.current_root(session), self.now()
        if root.expires_at - now < ROOT_WARNING:
            _log.warning(
                "the root of trust in releases ends soon: renew it with `bandwatch-coordinator rotate-root-key`",
                ends_at=root.expires_at.isoformat(),
            )
        metadata.store(session, edit.sign(root, self.keys.load(), self.lives, now))
        await session.flush()


async def _long_ended(session: AsyncSession, serials: set[int], now: datetime) -> list[int]:
    ended = (ReleaseState.SUPERSEDED, ReleaseState.ROLLED_BACK)
    found = await session.scalars(
        select(Release.serial).where(
            Release.serial.in_(serials), Release.state.in_(ended), Release.state_at < now - KEPT_AFTER_ITS_END
        )
    )
    return list(found)
