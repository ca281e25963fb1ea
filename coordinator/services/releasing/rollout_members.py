"""Which observers try a release, frozen when a stage begins, and how each of them answered."""

import hashlib
import math
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, String, case, cast, func, insert, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.entities import Cell, Observer, Release, ReleaseState, Trust
from coordinator.registry.rollouts import RolloutMember
from coordinator.services.releasing.releases import ON_THE_WAY, Target

_MAY_PASS: Final = frozenset(
    {
        "bad_metadata",
        "corrupt",
        "endless_metadata",
        "mixed_metadata",
        "not_found",
        "not_released",
        "old_metadata",
        "stale_metadata",
    }
)
"""Refusals that agents try again, since the coordinator may have been unwell."""
_REFUSAL: Final[ColumnElement[str]] = literal_column("'$.refused[*] ? (@.serial == $serial)'::jsonpath")


def _cells_of(target: Target) -> ColumnElement[bool]:
    if target.cell_id:
        return Cell.id == target.cell_id
    return Cell.band_id == target.band_id if target.band_id else Cell.id.is_not(None)


def _active(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(Release.serial).where(Release.state == ReleaseState.ACTIVE, *where).exists()


async def observers_of(session: AsyncSession, target: Target) -> list[str]:
    """Return every observer in the cells of a target, whatever it runs."""
    query = select(Observer.id).join(Cell, Cell.id == Observer.cell_id).where(_cells_of(target))
    return list(await session.scalars(query.order_by(Observer.id)))


async def observers_served(session: AsyncSession, target: Target) -> list[str]:
    """Return the observers that run what is in force for a target: those of its cells that nothing narrower serves."""
    query = (
        select(Observer.id)
        .join(Cell, Cell.id == Observer.cell_id)
        .where(_cells_of(target), Observer.trust != Trust.REVOKED)
    )
    if not target.cell_id:
        query = query.where(~_active(Release.cell_id == Cell.id))
    if not target.band_id:
        query = query.where(~_active(Release.band_id == Cell.band_id, Release.cell_id.is_(None)))
    return list(await session.scalars(query.order_by(Observer.id)))


def canary_size(share: float, observers: int) -> int:
    """Return how many observers a share is: at least one where there is any."""
    return min(observers, max(1, math.floor(share * observers)))


def canaries(serial: int, observers: Sequence[str], share: float) -> list[str]:
    """Return the share of the observers that tries a release: which ones depends on its serial and nothing else."""
    in_order = sorted(observers, key=lambda name: hashlib.sha256(f"{serial}/{name}".encode()).digest())
    return in_order[: canary_size(share, len(observers))]


async def freeze(session: AsyncSession, release: Release, stage: ReleaseState, observers: Sequence[str]) -> None:
    """Note who is to try a release in a stage."""
    rows = [{"serial": release.serial, "stage": stage, "observer_id": name, "running": False} for name in observers]
    if rows:  # an insert of no rows would insert one of defaults
        await session.execute(insert(RolloutMember), rows)


async def members_of(session: AsyncSession, release: Release, stage: ReleaseState) -> list[RolloutMember]:
    """Return who is to try a release in a stage, by name."""
    query = select(RolloutMember).where(RolloutMember.serial == release.serial, RolloutMember.stage == stage)
    return list(await session.scalars(query.order_by(RolloutMember.observer_id)))


async def last_stage_of(session: AsyncSession, release: Release) -> ReleaseState | None:
    """Return the last stage in which observers tried a release."""
    query = select(RolloutMember.stage).where(RolloutMember.serial == release.serial).distinct()
    tried = set(await session.scalars(query))
    return next((stage for stage in (ReleaseState.CANARY, ReleaseState.SHADOW) if stage in tried), None)


async def heard_of(session: AsyncSession, release: Release) -> bool:
    """Tell whether an observer may have put a release in force that is, or was, a canary."""
    query = (
        select(RolloutMember.observer_id)
        .join(Observer, Observer.id == RolloutMember.observer_id)
        .where(
            RolloutMember.serial == release.serial,
            RolloutMember.stage == ReleaseState.CANARY,
            Observer.last_sync_at >= RolloutMember.offered_at,
        )
    )
    return bool(await session.scalar(select(query.exists())))


async def note_answers(session: AsyncSession) -> None:
    """Note what observers have said, since the offer, of releases that are on their way."""
    serial = cast(RolloutMember.serial, String)
    in_shadow = RolloutMember.stage == ReleaseState.SHADOW
    says = case(
        (in_shadow, Observer.reported["shadow_serial"].astext), else_=Observer.reported["running_serial"].astext
    )
    running = func.coalesce(says == serial, False)
    refusal = func.jsonb_path_query_first(Observer.reported, _REFUSAL, func.jsonb_build_object("serial", serial))
    code, reason = refusal.op("->>")("code"), refusal.op("->>")("reason")
    news = or_(
        RolloutMember.heard_at.is_(None),
        RolloutMember.running != running,
        RolloutMember.refusal_code.is_distinct_from(code),
    )
    answered = case((or_(running, code.is_not(None)), Observer.last_sync_at))
    await session.execute(
        update(RolloutMember)
        .where(
            Observer.id == RolloutMember.observer_id,
            Observer.last_sync_at > RolloutMember.offered_at,
            Release.serial == RolloutMember.serial,
            Release.state == RolloutMember.stage,
            Release.state.in_(ON_THE_WAY),
            news,
        )
        .values(
            heard_at=func.coalesce(RolloutMember.heard_at, Observer.last_sync_at),
            answered_at=func.coalesce(RolloutMember.answered_at, answered),
            running=running,
            refusal_code=code,
            refusal_reason=reason,
        )
        .execution_options(synchronize_session=False)
    )


async def raise_revisions(session: AsyncSession, observers: Collection[str]) -> None:
    """Note that observers are to be something else: the database then wakes their watches.

    Their rows are locked in one order, so that two who do this at the same time never wait for each other.
    """
    await session.execute(select(Observer.id).where(Observer.id.in_(observers)).order_by(Observer.id).with_for_update())
    await session.execute(
        update(Observer)
        .where(Observer.id.in_(observers))
        .values(revision=Observer.revision + 1)
        .execution_options(synchronize_session=False)
    )


def refusal_of(member: RolloutMember, *, since_answer: timedelta, grace: timedelta) -> str:
    """Return with what an observer refuses a release, once it is not for the transfer, which may yet succeed."""
    if member.refusal_code is None or member.running:
        return ""
    if member.refusal_code in _MAY_PASS and since_answer <= grace:
        return ""
    return f"{member.refusal_code} ({member.refusal_reason})"


def silence_of(member: RolloutMember, *, since_sync: timedelta, since_heard: timedelta, grace: timedelta) -> str:
    """Return in which way an observer that heard the offer has been silent too long, or nothing."""
    if since_sync > grace:
        return f"was not heard of for {since_sync.total_seconds():.0f} s after the offer"
    if member.answered_at is None and since_heard > grace:
        return f"has neither run nor refused it for {since_heard.total_seconds():.0f} s"
    return ""
