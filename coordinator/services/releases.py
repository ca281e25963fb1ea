"""Releases: which model runs where, signed, one in force per cell and per band."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.artifacts.blobs import BlobStore
from bandwatch.artifacts.manifest import Manifest
from bandwatch.artifacts.signing import SigningKey
from bandwatch.errors import NotFoundError
from coordinator.registry.entities import Cell, Model, Observer, Release, ReleaseState
from coordinator.services.paging import Page, PageRequest, read_page


@dataclass(frozen=True)
class Publisher:
    """What it takes to release: the key that signs, and the store that observers fetch from."""

    key: SigningKey
    blobs: BlobStore


async def release(session: AsyncSession, publisher: Publisher, model_id: str) -> tuple[Release, list[str]]:
    """Sign a model with a new serial and put it in force; return the release and the observers that it concerns.

    Releasing an older model again gives it a new serial, so observers take it: that is how one goes back.

    Raises:
        NotFoundError: There is no such model.
    """
    model = await session.get(Model, model_id)
    if model is None:
        raise NotFoundError(f"{names.models.name(model_id)} does not exist; list the models to see which do")
    # One release at a time per band, so that serials are handed out in the order in which they come into force.
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext(:band))"), {"band": f"release {model.band_id}"})
    serial = await session.scalar(text("SELECT nextval(pg_get_serial_sequence('releases', 'serial'))"))
    manifest = _manifest(model, int(serial or 0))
    reference = publisher.blobs.write(publisher.key.seal(manifest.to_bytes()))
    await session.execute(
        update(Release)
        .where(
            Release.band_id == model.band_id,
            Release.cell_id.is_not_distinct_from(model.cell_id),
            Release.state == ReleaseState.ACTIVE,
        )
        .values(state=ReleaseState.SUPERSEDED)
    )
    made = Release(
        serial=manifest.serial,
        model_id=model.id,
        band_id=model.band_id,
        cell_id=model.cell_id,
        state=ReleaseState.ACTIVE,
        manifest_digest=reference.digest,
        manifest_bytes=reference.size_bytes,
    )
    session.add(made)
    await session.flush()
    await session.refresh(made)
    return made, await _raise_revisions(session, model)


def _manifest(model: Model, serial: int) -> Manifest:
    return Manifest(
        serial=serial,
        model=names.models.name(model.id),
        band=names.bands.name(model.band_id),
        cell=names.cells.name(model.cell_id) if model.cell_id else None,
        parent=names.models.name(model.parent_id) if model.parent_id else None,
        run=names.runs.name(model.run_id) if model.run_id else "",
        content=model.trained_content,
        created_at=datetime.now(UTC),
    )


async def _raise_revisions(session: AsyncSession, model: Model) -> list[str]:
    cells = select(Cell.id).where(Cell.band_id == model.band_id)
    if model.cell_id:
        cells = cells.where(Cell.id == model.cell_id)
    changed = await session.scalars(
        update(Observer)
        .where(Observer.cell_id.in_(cells))
        .values(revision=Observer.revision + 1)
        .returning(Observer.id)
        .execution_options(synchronize_session=False)
    )
    return list(changed)


async def in_force(session: AsyncSession, *, band_id: str, cell_id: str) -> Release | None:
    """Return the release for a cell: its student's, else its band's teacher's, else none."""
    found = await session.scalars(
        select(Release).where(
            Release.band_id == band_id,
            Release.state == ReleaseState.ACTIVE,
            or_(Release.cell_id == cell_id, Release.cell_id.is_(None)),
        )
    )
    return max(found, key=lambda candidate: candidate.cell_id is not None, default=None)


async def models_in_force(session: AsyncSession, *, outside_cell: str, limit: int) -> list[str]:
    """Return the models of active releases of every band, the newest release first, without those of one cell."""
    found = await session.scalars(
        select(Release.model_id)
        .where(Release.state == ReleaseState.ACTIVE, Release.cell_id.is_distinct_from(outside_cell))
        .order_by(Release.serial.desc())
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
