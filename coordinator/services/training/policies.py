"""Policies: what the schedule does by itself for the cells of a band, or for one cell."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from coordinator.registry.entities import Cell
from coordinator.registry.policies import Policy
from coordinator.services import cells
from coordinator.services.paging import Page, PageRequest, read_page

STUDENT_DATA: Final = timedelta(minutes=5)
"""Local data that a student needs (seed paper, section 5: five minutes)."""


@dataclass(frozen=True)
class Wanted:
    """A policy as an operator wants it: the fields of its row. Of band and cell, one is given."""

    band_id: str | None
    cell_id: str | None
    enabled: bool
    student_data: timedelta
    student_lifetime: timedelta | None
    refit_on_drift: bool
    frozen_layers: int
    max_epochs: int
    stride_frames: int
    plan: dict[str, Any] | None


async def put(session: AsyncSession, policy_id: str, wanted: Wanted) -> Policy:
    """Make a policy, or replace the one of that name.

    Raises:
        InvalidArgumentError: The identifier cannot name a policy.
        NotFoundError: The band or cell does not exist.
        AlreadyExistsError: Another policy is for the same band or cell.
    """
    name = names.policies.name(policy_id)
    await _require_target(session, wanted)
    rival = await session.scalar(
        select(Policy).where(
            Policy.id != policy_id,
            Policy.band_id.is_not_distinct_from(wanted.band_id),
            Policy.cell_id.is_not_distinct_from(wanted.cell_id),
        )
    )
    if rival is not None:
        raise AlreadyExistsError(f"{names.policies.name(rival.id)} is for the same target as {name}: replace that one")
    policy = await session.get(Policy, policy_id)
    if policy is None:
        policy = Policy(id=policy_id, **asdict(wanted))
        session.add(policy)
    else:
        for field, value in asdict(wanted).items():
            setattr(policy, field, value)
    await session.flush()
    await session.refresh(policy)
    return policy


async def _require_target(session: AsyncSession, wanted: Wanted) -> None:
    if wanted.cell_id is not None:
        await cells.get_cell(session, wanted.cell_id)
    elif wanted.band_id is not None:
        await cells.get_band(session, wanted.band_id)
    else:
        raise InvalidArgumentError("a policy is for a band or for a cell: name one")


async def list_policies(session: AsyncSession, page: PageRequest) -> Page[Policy]:
    """List policies by name."""
    return await read_page(session, select(Policy), [Policy.id], page)


async def delete(session: AsyncSession, policy_id: str) -> None:
    """Delete a policy. What it ordered goes on.

    Raises:
        NotFoundError: There is no such policy.
    """
    policy = await session.get(Policy, policy_id)
    if policy is None:
        raise NotFoundError(f"{names.policies.name(policy_id)} does not exist; list the policies to see which do")
    await session.delete(policy)


async def governing(session: AsyncSession) -> list[tuple[Cell, Policy]]:
    """Return the cells that an enabled policy governs. A cell's own policy comes first, also where it is disabled."""
    policies = (await session.scalars(select(Policy))).all()
    of_cell = {policy.cell_id: policy for policy in policies if policy.cell_id}
    of_band = {policy.band_id: policy for policy in policies if policy.band_id}
    if not policies:
        return []
    found = []
    for cell in await session.scalars(select(Cell).order_by(Cell.id)):
        policy = of_cell.get(cell.id) or of_band.get(cell.band_id)
        if policy is not None and policy.enabled:
            found.append((cell, policy))
    return found
