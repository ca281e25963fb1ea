"""Releases: which model runs where, signed, one in force for each cell, each band, and for bands without one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.artifacts.manifest import Manifest
from bandwatch.errors import NotFoundError
from coordinator.registry.entities import Model, Release, ReleaseState
from coordinator.services.paging import Page, PageRequest, read_page
from coordinator.services.releasing.publisher import Publisher

ON_THE_WAY: Final = (ReleaseState.CANDIDATE, ReleaseState.SHADOW, ReleaseState.CANARY)
"""States of a release that is not yet in force."""
_OFFERED: Final = (ReleaseState.CANARY, ReleaseState.ACTIVE, ReleaseState.SUPERSEDED, ReleaseState.ROLLED_BACK)
"""States of a release that observers may have put in force at some time."""

_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Target:
    """Whom a release serves: one cell, the cells of a band that have no student, or the bands that have no teacher."""

    band_id: str | None
    cell_id: str | None

    @classmethod
    def of(cls, release: Release) -> "Target":
        """Return whom a release serves."""
        return cls(release.band_id, release.cell_id)

    @property
    def wider(self) -> "list[Target]":
        """The targets that serve where this one has nothing, the narrowest first."""
        targets = [Target(self.band_id, None)] if self.cell_id else []
        return [*targets, Target(None, None)] if self.band_id else []


async def lock(session: AsyncSession) -> None:
    """Let one release at a time be made or moved, so that serials come into force in their order."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('releases'))"))


async def issue(
    session: AsyncSession,
    publisher: Publisher,
    model: Model,
    target: Target,
    *,
    plan: dict[str, Any],
    reason: str,
    state: ReleaseState = ReleaseState.CANDIDATE,
) -> Release:
    """Sign a model with a new serial, as a candidate unless told otherwise. Hold the lock."""
    serial = await session.scalar(text("SELECT nextval(pg_get_serial_sequence('releases', 'serial'))"))
    manifest = _manifest(model, target, int(serial or 0))
    reference = await publisher.publish(session, manifest)
    made = Release(
        serial=manifest.serial,
        model_id=model.id,
        band_id=target.band_id,
        cell_id=target.cell_id,
        state=state,
        plan=plan,
        reason=reason,
        manifest_digest=reference.digest,
        manifest_bytes=reference.size_bytes,
    )
    session.add(made)
    await session.flush()
    await session.refresh(made)
    _say(made)
    return made


def _manifest(model: Model, target: Target, serial: int) -> Manifest:
    return Manifest(
        serial=serial,
        model=names.models.name(model.id),
        band=names.bands.name(target.band_id) if target.band_id else None,
        cell=names.cells.name(target.cell_id) if target.cell_id else None,
        parent=names.models.name(model.parent_id) if model.parent_id else None,
        run=names.runs.name(model.run_id) if model.run_id else "",
        content=model.trained_content,
        created_at=datetime.now(UTC),
    )


async def enter(session: AsyncSession, release: Release, state: ReleaseState, reason: str) -> None:
    """Move a release to another state, with the reason."""
    release.state, release.reason = state, reason
    release.state_at = await session.scalar(select(func.now())) or datetime.now(UTC)
    if state is ReleaseState.ACTIVE:
        release.active_at = release.state_at
    await session.flush()
    _say(release)


def _say(release: Release) -> None:
    _log.info(
        "a release is in another state",
        release=names.releases.name(str(release.serial)),
        model=names.models.name(release.model_id),
        band=release.band_id or "",
        cell=release.cell_id or "",
        state=release.state.value,
        reason=release.reason,
    )


async def get(session: AsyncSession, serial: int) -> Release:
    """Read a release.

    Raises:
        NotFoundError: There is none of that number.
    """
    release = await session.get(Release, serial)
    if release is None:
        raise NotFoundError(f"releases/{serial} does not exist; list the releases to see which do")
    return release


async def active_of(session: AsyncSession, target: Target) -> Release | None:
    """Return the release in force for exactly this target."""
    return await session.scalar(select(Release).where(serves(target), Release.state == ReleaseState.ACTIVE))


async def on_the_way_to(session: AsyncSession, target: Target) -> Release | None:
    """Return the release that is on its way into force for exactly this target."""
    return await session.scalar(select(Release).where(serves(target), Release.state.in_(ON_THE_WAY)))


async def all_on_the_way(session: AsyncSession) -> list[Release]:
    """Return every release that is on its way into force, the oldest first."""
    return list(await session.scalars(select(Release).where(Release.state.in_(ON_THE_WAY)).order_by(Release.serial)))


async def serving(session: AsyncSession, target: Target) -> Release | None:
    """Return the release in force for a target, or for the narrowest wider one that has any."""
    for candidate in (target, *target.wider):
        found = await active_of(session, candidate)
        if found is not None:
            return found
    return None


async def before(session: AsyncSession, release: Release) -> Release | None:
    """Return the newest release that was in force for the same target before this one, with another model."""
    return await session.scalar(
        select(Release)
        .where(
            serves(Target.of(release)),
            Release.state == ReleaseState.SUPERSEDED,
            Release.active_at.is_not(None),
            Release.serial < release.serial,
            Release.model_id != release.model_id,
        )
        .order_by(Release.serial.desc())
        .limit(1)
    )


async def was_overtaken(session: AsyncSession, release: Release) -> bool:
    """Tell whether observers that are to run this release may have had a newer one, and would refuse its serial."""
    same_band = Release.band_id == release.band_id
    overlaps = or_(Release.band_id.is_(None), same_band) if release.band_id else Release.serial.is_not(None)
    if release.cell_id:
        overlaps = and_(overlaps, or_(Release.cell_id.is_(None), Release.cell_id == release.cell_id))
    newer = select(Release.serial).where(Release.serial > release.serial, Release.state.in_(_OFFERED), overlaps)
    return bool(await session.scalar(select(newer.exists())))


def serves(target: Target) -> ColumnElement[bool]:
    """Select releases of exactly this target."""
    return and_(
        Release.band_id.is_not_distinct_from(target.band_id), Release.cell_id.is_not_distinct_from(target.cell_id)
    )


async def models_in_force(session: AsyncSession, *, outside_cell: str, limit: int) -> list[str]:
    """Return the models of active releases of every band, the newest release first, without those of one cell."""
    found = await session.scalars(
        select(Release.model_id)
        .where(Release.state == ReleaseState.ACTIVE, Release.cell_id.is_distinct_from(outside_cell))
        .group_by(Release.model_id)
        .order_by(func.max(Release.serial).desc())
        .limit(limit)
    )
    return list(found)


async def current_of(session: AsyncSession, model_id: str) -> Release | None:
    """Return the newest release of a model."""
    return await session.scalar(
        select(Release).where(Release.model_id == model_id).order_by(Release.serial.desc()).limit(1)
    )


async def list_releases(session: AsyncSession, page: PageRequest, *, cell_id: str | None) -> Page[Release]:
    """List releases, newest first, of one cell or of all."""
    query = select(Release)
    if cell_id:
        query = query.where(Release.cell_id == cell_id)
    return await read_page(session, query, [Release.serial], page, newest_first=True)
