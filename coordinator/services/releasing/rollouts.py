"""How releases come into force: in shadow, as a canary, active; and back, by themselves or by hand, with the reason."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Text, and_, any_, bindparam, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import FailedPreconditionError, InvalidArgumentError
from coordinator.registry.entities import Release, ReleaseState
from coordinator.registry.rollouts import RolloutMember
from coordinator.services.releasing import (
    models,
    releases,
    rollout_evidence,
    rollout_gates,
    rollout_members,
    rollout_stages,
)
from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.releasing.releases import ON_THE_WAY, Target
from coordinator.services.releasing.rollout_evidence import Looks, Observed, Trial
from coordinator.services.releasing.rollout_gates import Course, Judgement, Verdict
from coordinator.services.releasing.rollout_stages import Changed

_SERVED: Final = (ReleaseState.SHADOW, ReleaseState.CANARY, ReleaseState.ACTIVE)
_log: Final = structlog.get_logger()


@dataclass(frozen=True)
class Rules:
    """The coordinator's usual plan, and how it looks at what observers say."""

    usual: RolloutPlan
    looks: Looks


@dataclass(frozen=True)
class Assigned:
    """What an observer is to run in a cell, what beside it, and what serves the band of the cell, and all bands."""

    release: Release | None
    shadow: Release | None
    of_band: Release | None
    of_all: Release | None

    @property
    def teacher(self) -> Release | None:
        """The release of the band, where it is a rung below the one that is to run."""
        return self.of_band if self.release is not None and self.release.cell_id is not None else None


class Post(NamedTuple):
    """An observer in a cell of a band."""

    observer_id: str
    band_id: str
    cell_id: str


_OFFERS: Final = (
    select(Release, RolloutMember.observer_id)
    .outerjoin(
        RolloutMember,
        and_(
            RolloutMember.serial == Release.serial,
            RolloutMember.stage == Release.state,
            RolloutMember.observer_id == any_(bindparam("observers", type_=ARRAY(Text))),
        ),
    )
    .where(
        Release.state.in_(_SERVED),
        or_(
            Release.cell_id == any_(bindparam("cells", type_=ARRAY(Text))),
            and_(
                Release.cell_id.is_(None),
                or_(Release.band_id == any_(bindparam("bands", type_=ARRAY(Text))), Release.band_id.is_(None)),
            ),
        ),
    )
)
"""Releases that may serve cells, and who of some observers tries them. Its text is the same for any number of them."""


@dataclass(frozen=True)
class Standing:
    """How a release does in the last stage in which observers tried it."""

    observed: Observed
    judgements: list[Judgement]
    verdict: Verdict


async def assigned(session: AsyncSession, observer_id: str, *, cell_id: str, band_id: str) -> Assigned:
    """Return what an observer is to run in a cell: its student, else the band's teacher, else the global one.

    Of each, an observer that was chosen as a canary gets the release that is on its way.
    """
    post = Post(observer_id, band_id, cell_id)
    return (await assigned_each(session, [post]))[post]


async def assigned_each(session: AsyncSession, posts: Collection[Post]) -> dict[Post, Assigned]:
    """Return the same for many observers, each in a cell."""
    found = await session.execute(
        _OFFERS,
        {
            "observers": list({post.observer_id for post in posts}),
            "bands": list({post.band_id for post in posts}),
            "cells": list({post.cell_id for post in posts}),
        },
    )
    active: dict[Target, Release] = {}
    tried: dict[tuple[str, Target, ReleaseState], Release] = {}
    for release, member in found:
        if _is_active(release):
            active[Target.of(release)] = release
        elif member is not None:
            tried[member, Target.of(release), release.state] = release
    return {post: _assigned(post, active, tried) for post in posts}


def _assigned(
    post: Post, active: Mapping[Target, Release], tried: Mapping[tuple[str, Target, ReleaseState], Release]
) -> Assigned:
    cell = Target(post.band_id, post.cell_id)
    serving = shadow = None
    for rung in (cell, *cell.wider):
        shadow = shadow or tried.get((post.observer_id, rung, ReleaseState.SHADOW))
        serving = tried.get((post.observer_id, rung, ReleaseState.CANARY)) or active.get(rung)
        if serving is not None:
            break
    return Assigned(serving, shadow if serving else None, active.get(cell.wider[0]), active.get(cell.wider[-1]))


def _is_active(release: Release) -> bool:
    return release.state is ReleaseState.ACTIVE


async def start(
    session: AsyncSession,
    publisher: Publisher,
    model_id: str,
    plan: RolloutPlan | None,
    rules: Rules,
    *,
    everywhere: bool = False,
) -> Changed:
    """Sign a model with a new serial and send it on its way. What was on its way to the same target gives way to it.

    Raises:
        NotFoundError: There is no such model.
        InvalidArgumentError: A student is to serve every band.
    """
    model = await models.get(session, model_id)
    if everywhere and model.cell_id:
        raise InvalidArgumentError(
            f"{names.models.name(model_id)} is a student of one cell; only a teacher can be global"
        )
    await releases.lock(session)
    target = Target(None, None) if everywhere else Target(model.band_id, model.cell_id)
    earlier = await releases.on_the_way_to(session, target)
    if earlier is not None:
        await rollout_stages.stop(session, publisher, earlier, ReleaseState.SUPERSEDED, "a newer release was ordered")
    full = (plan or RolloutPlan()).filled(rules.usual)
    release = await releases.issue(session, publisher, model, target, plan=full.to_json(), reason="ordered")
    return await rollout_stages.begin(session, publisher, release, full)


async def promote(session: AsyncSession, publisher: Publisher, serial: int) -> Changed:
    """Put a release in force whatever its gates say.

    Raises:
        NotFoundError: There is no such release.
        FailedPreconditionError: It is not on its way.
    """
    await releases.lock(session)
    release = await _get_locked(session, serial)
    if release.state not in ON_THE_WAY:
        raise FailedPreconditionError(
            f"releases/{serial} is {release.state.value.replace('_', ' ')}, not on its way into force: "
            "release its model again"
        )
    return await rollout_stages.activate(session, publisher, release, "promoted by hand")


async def roll_back(session: AsyncSession, publisher: Publisher, serial: int, reason: str) -> Changed:
    """Take a release back. Where it was in force, the model that was before it is released again.

    Raises:
        NotFoundError: There is no such release.
        FailedPreconditionError: It neither is in force nor on its way there.
    """
    await releases.lock(session)
    release = await _get_locked(session, serial)
    why = f"taken back by hand: {reason}" if reason else "taken back by hand"
    if release.state in ON_THE_WAY:
        return await rollout_stages.stop(session, publisher, release, ReleaseState.ROLLED_BACK, why)
    if release.state is not ReleaseState.ACTIVE:
        raise FailedPreconditionError(
            f"releases/{serial} is {release.state.value.replace('_', ' ')} already; take back the one that is in force"
        )
    return await rollout_stages.take_back(session, publisher, release, why)


async def _get_locked(session: AsyncSession, serial: int) -> Release:
    release = await releases.get(session, serial)
    await session.refresh(release, with_for_update=True)
    return release


async def advance(session: AsyncSession, publisher: Publisher, rules: Rules) -> None:
    """Move every release on its way as far as its gates let it.

    One that cannot be moved stays where it is, with a line in the log, and stops no other.
    """
    if not await releases.all_on_the_way(session):
        return
    await releases.lock(session)
    await rollout_members.note_answers(session)
    for serial in [release.serial for release in await releases.all_on_the_way(session)]:
        try:
            async with session.begin_nested():
                release = await releases.get(session, serial)
                if release.state in ON_THE_WAY:  # what moved before it may have ended it
                    await _move(session, publisher, rules, release)
        except Exception:  # noqa: BLE001 - a bad release must not keep another from being taken back
            _log.exception("a release could not be moved on", release=names.releases.name(str(serial)))


async def _move(session: AsyncSession, publisher: Publisher, rules: Rules, release: Release) -> None:
    standing = await look(session, release, rules)
    plan = RolloutPlan.from_json(release.plan)
    if standing is None:
        await rollout_stages.begin(session, publisher, release, plan)
        return
    verdict = standing.verdict
    if verdict.course is Course.ROLL_BACK:
        why = f"taken back by itself from {release.state.value}: {verdict.reason}"
        await rollout_stages.stop(session, publisher, release, ReleaseState.ROLLED_BACK, why)
    elif verdict.course is Course.ADVANCE and release.state is ReleaseState.SHADOW:
        await rollout_stages.begin_canary(session, publisher, release, plan, f"in shadow {verdict.reason}")
    elif verdict.course is Course.ADVANCE:
        await rollout_stages.activate(session, publisher, release, f"as a canary {verdict.reason}")


async def look(session: AsyncSession, release: Release, rules: Rules) -> Standing | None:
    """Return how a release does or did in the last stage in which observers tried it; None where none has."""
    stage = await rollout_members.last_stage_of(session, release)
    if stage is None:
        return None
    members = await rollout_members.members_of(session, release, stage)
    incumbent = await releases.serving(session, Target.of(release))
    if incumbent is not None and incumbent.serial == release.serial:
        incumbent = await releases.before(session, release)
    observed = await rollout_evidence.observe(session, Trial(release, stage, members, incumbent), rules.looks)
    plan = RolloutPlan.from_json(release.plan).filled(rules.usual)
    judgements = [rollout_gates.judge(evidence, plan) for evidence in observed.evidence]
    now = await session.scalar(select(func.now()))
    verdict = rollout_gates.decide(
        judgements,
        plan,
        windows=observed.windows,
        elapsed_s=(now - release.state_at).total_seconds() if now else 0.0,
        names=[names.observers.name(evidence.observer_id) for evidence in observed.evidence],
    )
    return Standing(observed, judgements, verdict)
