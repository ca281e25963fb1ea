"""The stages of a release: each begins with a reason, gives the observers concerned a new revision, can be undone."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from coordinator.registry.entities import Model, Release, ReleaseState
from coordinator.services.releasing import releases, rollout_gates, rollout_members
from coordinator.services.releasing.plans import RolloutPlan
from coordinator.services.releasing.publisher import Publisher
from coordinator.services.releasing.releases import ON_THE_WAY, Target


@dataclass(frozen=True)
class Changed:
    """A release that was moved, and what serves instead, where it fell."""

    release: Release
    instead: Release | None = None


async def begin(session: AsyncSession, publisher: Publisher, release: Release, plan: RolloutPlan) -> Changed:
    """Choose the first stage of a candidate."""
    if plan.at_once:
        return await activate(session, publisher, release, "put in force at once, as ordered")
    target = Target.of(release)
    watching = await rollout_members.observers_served(session, target)
    if not watching:
        return await activate(session, publisher, release, "no observer watches there, so there is nobody to try it")
    incumbent = await releases.serving(session, target)
    size = rollout_members.canary_size(plan.canary_share, len(watching))
    needed = rollout_gates.observers_needed(plan.failure_limit)
    if incumbent is not None and plan.shadow:
        return await _try_in(session, release, ReleaseState.SHADOW, watching, "in shadow first, as planned")
    few = f"{size} canaries are too few for statistics, which need {needed} to tell {plan.failure_limit:.1%} failures"
    if incumbent is not None and size < needed and plan.few_in_shadow:
        why = f"{few}: errors are compared window by window in shadow first"
        return await _try_in(session, release, ReleaseState.SHADOW, watching, why)
    why = f"{few}: one failure is one too many" if size < needed else ""
    if incumbent is None:
        why = "nothing is in force to compare with: scores, false alarms and refusals decide"
    return await begin_canary(session, publisher, release, plan, why)


async def begin_canary(
    session: AsyncSession, publisher: Publisher, release: Release, plan: RolloutPlan, why: str
) -> Changed:
    """Let a share of the observers run a release; those that ran it in shadow and are none of them stop that."""
    shadowing = [m.observer_id for m in await rollout_members.members_of(session, release, ReleaseState.SHADOW)]
    release = await _with_newest_serial(session, publisher, release)
    watching = await rollout_members.observers_served(session, Target.of(release))
    if not watching:
        return await activate(session, publisher, release, "no observer watches there any more")
    chosen = rollout_members.canaries(release.serial, watching, plan.canary_share)
    reason = f"{len(chosen)} of {len(watching)} observers run it" + (f"; {why}" if why else "")
    changed = await _try_in(session, release, ReleaseState.CANARY, chosen, reason)
    await rollout_members.raise_revisions(session, {*shadowing} - {*chosen})
    return changed


async def _try_in(
    session: AsyncSession, release: Release, stage: ReleaseState, observers: list[str], reason: str
) -> Changed:
    await releases.enter(session, release, stage, reason)
    await rollout_members.freeze(session, release, stage, observers)
    await rollout_members.raise_revisions(session, observers)
    return Changed(release)


async def activate(session: AsyncSession, publisher: Publisher, release: Release, reason: str) -> Changed:
    """Put a release in force for its whole target."""
    release = await _with_newest_serial(session, publisher, release)
    target = Target.of(release)
    former = await releases.active_of(session, target)
    if former is not None:
        by = names.releases.name(str(release.serial))
        await releases.enter(session, former, ReleaseState.SUPERSEDED, f"{by} is in force instead")
    await releases.enter(session, release, ReleaseState.ACTIVE, reason)
    await rollout_members.raise_revisions(session, await rollout_members.observers_of(session, target))
    return Changed(release)


async def _with_newest_serial(session: AsyncSession, publisher: Publisher, release: Release) -> Release:
    """Return a release that observers take: itself, or the same model again where they may have had a newer serial."""
    if not await releases.was_overtaken(session, release):
        return release
    return await _again(session, publisher, release, f"goes on from {names.releases.name(str(release.serial))}")


async def _again(session: AsyncSession, publisher: Publisher, release: Release, reason: str) -> Release:
    """Issue the model of a release once more, and let the new one take its place where it is on its way."""
    model = await session.get_one(Model, release.model_id)
    if release.state in ON_THE_WAY:
        await releases.enter(session, release, ReleaseState.SUPERSEDED, "goes on under a newer serial")
    return await _issue_aside(session, publisher, model, Target.of(release), plan=release.plan, reason=reason)


async def _issue_aside(
    session: AsyncSession, publisher: Publisher, model: Model, target: Target, *, plan: dict[str, Any], reason: str
) -> Release:
    """Issue a release that its caller moves on at once. It is no candidate: another may be on its way there."""
    return await releases.issue(
        session, publisher, model, target, plan=plan, reason=reason, state=ReleaseState.SUPERSEDED
    )


async def take_back(session: AsyncSession, publisher: Publisher, release: Release, reason: str) -> Changed:
    """End a release that is in force, and release the model that was before it again."""
    former = await releases.before(session, release)
    target = Target.of(release)
    await releases.enter(session, release, ReleaseState.ROLLED_BACK, reason)
    await publisher.withdraw(session, release.serial)
    name = names.releases.name(str(release.serial))
    if former is None:
        return await _restore(session, publisher, release, f"{name} was taken back, and nothing was before it")
    model = await session.get_one(Model, former.model_id)
    again = await _issue_aside(session, publisher, model, target, plan={"at_once": True}, reason="ordered")
    back = await activate(session, publisher, again, f"released again because {name} was taken back")
    return Changed(release, back.release)


async def stop(
    session: AsyncSession, publisher: Publisher, release: Release, state: ReleaseState, reason: str
) -> Changed:
    """End a release that is on its way. Those that had it get back what is in force."""
    stage = await rollout_members.last_stage_of(session, release)
    members = await rollout_members.members_of(session, release, stage) if stage else []
    had_it = await rollout_members.heard_of(session, release)
    await releases.enter(session, release, state, reason)
    await publisher.withdraw(session, release.serial)
    await rollout_members.raise_revisions(session, {member.observer_id for member in members})
    if not had_it:
        return Changed(release)
    name = names.releases.name(str(release.serial))
    return await _restore(session, publisher, release, f"released again so that observers that had {name} take it")


async def _restore(session: AsyncSession, publisher: Publisher, fallen: Release, reason: str) -> Changed:
    """Release what is in force again, under a newer serial: observers that had the fallen one take no older one."""
    target = Target.of(fallen)
    incumbent = await releases.serving(session, target)
    if incumbent is None:
        await rollout_members.raise_revisions(session, await rollout_members.observers_of(session, target))
        return Changed(fallen)
    again = await _again(session, publisher, incumbent, "ordered")
    back = await activate(session, publisher, again, reason)
    return Changed(fallen, back.release)
