"""The signed metadata of releases: rows in, signed rows out, one transaction at a time."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from bandwatch.artifacts.release_metadata import SignedFile, every_bin
from bandwatch.artifacts.release_roots import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, ReleaseRoot
from bandwatch.errors import FailedPreconditionError, NotFoundError
from coordinator.registry.release_metadata import MetadataFile

WHOLE: Final = (TARGETS, *every_bin(), SNAPSHOT, TIMESTAMP)
"""Every role that is signed by the coordinator itself."""
_FILE: Final = re.compile(r"(?:([0-9]{1,10})\.)?([a-z0-9-]{1,60})\.json")
_KEPT: Final = timedelta(hours=1)
"""How long a version that is not the newest stays, for agents that are reading just then. Roots stay for ever."""


async def lock(session: AsyncSession) -> None:
    """Be the only one who signs until the transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('release metadata'))"))


async def try_lock(session: AsyncSession) -> bool:
    """Tell whether nobody else signs now; if so, nobody else does until the transaction ends."""
    return bool(await session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('release metadata'))")))


async def read(session: AsyncSession, file: str) -> bytes:
    """Return a file as agents call it: "timestamp.json", or one with a version, such as "3.root.json".

    Raises:
        NotFoundError: There is none of that name.
    """
    parts = _FILE.fullmatch(file)
    version, role = parts.groups() if parts else (None, "")
    query = select(MetadataFile.content).where(MetadataFile.role == role)
    if version is not None:
        query = query.where(MetadataFile.version == int(version))
    elif role != TIMESTAMP:
        raise NotFoundError(f"there is no metadata {file}: every file but timestamp.json has a version")
    content = await session.scalar(query.order_by(MetadataFile.version.desc()).limit(1))
    if content is None:
        raise NotFoundError(f"there is no metadata {file}")
    return content


async def newest(session: AsyncSession, roles: Iterable[str]) -> dict[str, bytes]:
    """Return the newest file of each of these roles that has one."""
    found = await session.execute(
        select(MetadataFile.role, MetadataFile.content)
        .where(MetadataFile.role.in_(list(roles)))
        .ext(distinct_on(MetadataFile.role))
        .order_by(MetadataFile.role, MetadataFile.version.desc())
    )
    return {row.role: row.content for row in found}


async def current_root(session: AsyncSession) -> ReleaseRoot:
    """Return the newest root: what a new member is to pin.

    Raises:
        FailedPreconditionError: There is none yet.
    """
    found = await newest(session, [ROOT])
    if not found:
        raise FailedPreconditionError("there is no root of trust in releases yet: start `bandwatch-coordinator serve`")
    return ReleaseRoot.parse(found[ROOT])


def store_root(session: AsyncSession, root: ReleaseRoot) -> None:
    """Add a root."""
    store(session, [SignedFile(ROOT, root.version, root.content)])


def store(session: AsyncSession, files: Iterable[SignedFile]) -> None:
    """Add what was signed."""
    session.add_all(MetadataFile(role=file.role, version=file.version, content=file.content) for file in files)


async def drop_old(session: AsyncSession) -> None:
    """Remove versions that have had a successor for a while, apart from roots."""
    newer = aliased(MetadataFile)
    succeeded = select(newer).where(
        newer.role == MetadataFile.role,
        newer.version > MetadataFile.version,
        newer.made_at < func.now() - _KEPT,
    )
    await session.execute(
        delete(MetadataFile)
        .where(MetadataFile.role != ROOT, succeeded.exists())
        .execution_options(synchronize_session=False)
    )
