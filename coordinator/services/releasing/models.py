"""The registry of models."""

import hashlib
import json

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.artifacts.manifest import ModelContent
from bandwatch.errors import NotFoundError
from coordinator.registry.entities import Model
from coordinator.services import cells
from coordinator.services.paging import Page, PageRequest, read_page


async def get(session: AsyncSession, model_id: str) -> Model:
    """Read a model.

    Raises:
        NotFoundError: There is none of that name.
    """
    model = await session.get(Model, model_id)
    if model is None:
        raise NotFoundError(f"{names.models.name(model_id)} does not exist; list the models to see which do")
    return model


async def import_model(session: AsyncSession, band_id: str, content: ModelContent) -> Model:
    """Register a model of a band that no run made. Its name follows from band and content, so twice gives one.

    Raises:
        NotFoundError: There is no such band.
    """
    await cells.get_band(session, band_id)
    plain = content.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps([band_id, plain], sort_keys=True).encode()).hexdigest()
    model_id = f"m-{digest[:16]}"
    before = await session.get(Model, model_id)
    if before is not None:
        return before
    model = Model(id=model_id, band_id=band_id, content=plain)
    session.add(model)
    await session.flush()
    await session.refresh(model)
    return model


async def list_models(
    session: AsyncSession, page: PageRequest, *, band_id: str | None, cell_id: str | None
) -> Page[Model]:
    """List models, newest first, of one band, of one cell, or all."""
    query = select(Model)
    if band_id:
        query = query.where(Model.band_id == band_id)
    if cell_id:
        query = query.where(Model.cell_id == cell_id)
    return await read_page(session, query, [Model.created_at, Model.id], page, newest_first=True)
