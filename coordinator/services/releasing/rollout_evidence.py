"""What observers reported of a release that they try, as the gates take it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import SQLColumnExpression, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from coordinator.registry.entities import Observer, Release, ReleaseState
from coordinator.registry.rollouts import RolloutMember, ScoreReport, StatisticsReport
from coordinator.services.releasing import rollout_members
from coordinator.services.releasing.releases import Target
from coordinator.services.releasing.rollout_gates import Evidence
from coordinator.services.releasing.spans import Difference, Spans, excess, mean_difference

_SCORED = ScoreReport.windows - ScoreReport.unscored_windows


@dataclass(frozen=True)
class Looks:
    """How long after the offer silence is a failure, and how far back an observer's own past reaches."""

    grace: timedelta
    past: timedelta


@dataclass
class _Reported:
    windows: int = 0
    flagged: int = 0
    unscored: int = 0
    errors: Spans = field(default_factory=Spans)


@dataclass(frozen=True)
class _Comparison:
    """By how much each observer's error is above the active release's, and the mean of that one's."""

    excesses: dict[str, Difference | None] = field(default_factory=dict)
    active_error_db: float = 0.0


@dataclass(frozen=True)
class Trial:
    """A release in a stage, who tries it, and the release that they run, or would run, without it."""

    release: Release
    stage: ReleaseState
    members: Sequence[RolloutMember]
    incumbent: Release | None


@dataclass(frozen=True)
class Observed:
    """Everything that is known of a release in a stage: what each observer says, and errors over all of them."""

    evidence: list[Evidence]
    error_db: float
    active_error_db: float

    @property
    def windows(self) -> int:
        """Windows that were reported."""
        return sum(evidence.windows for evidence in self.evidence)

    @property
    def flagged(self) -> int:
        """Windows among them that were flagged."""
        return sum(evidence.flagged for evidence in self.evidence)


async def observe(session: AsyncSession, trial: Trial, looks: Looks) -> Observed:
    """Return what is known of a release."""
    reported = await _reported(session, trial)
    comparison = await _compare(session, trial, looks, reported)
    present = await _present(session, trial)
    now = await session.scalar(select(func.now())) or datetime.now(UTC)
    evidence = []
    for member in trial.members:
        last_sync_at = present.get(member.observer_id)
        of_it = reported.get(member.observer_id, _Reported())
        evidence.append(
            Evidence(
                observer_id=member.observer_id,
                heard=member.heard_at is not None and last_sync_at is not None,
                running=member.running,
                refusal=_refusal(member, now, looks.grace),
                silence=_silence(member, now, last_sync_at, of_it, looks.grace),
                windows=of_it.windows,
                flagged=of_it.flagged,
                unscored=of_it.unscored,
                compared=trial.incumbent is not None,
                excess=comparison.excesses.get(member.observer_id),
            )
        )
    total = sum((one.errors for one in reported.values()), Spans())
    return Observed(evidence, total.mean, comparison.active_error_db)


def _refusal(member: RolloutMember, now: datetime, grace: timedelta) -> str:
    since_answer = now - (member.answered_at or now)
    return rollout_members.refusal_of(member, since_answer=since_answer, grace=grace)


def _silence(
    member: RolloutMember, now: datetime, last_sync_at: datetime | None, reported: _Reported, grace: timedelta
) -> str:
    if member.heard_at is None or last_sync_at is None:
        return ""
    said = rollout_members.silence_of(
        member, since_sync=now - last_sync_at, since_heard=now - member.heard_at, grace=grace
    )
    if said or member.answered_at is None or reported.windows or reported.unscored:
        return said
    waited = now - member.answered_at
    return f"runs it and has reported nothing for {waited.total_seconds():.0f} s" if waited > grace else ""


async def _present(session: AsyncSession, trial: Trial) -> dict[str, datetime | None]:
    """Return when each member was last heard of, apart from those that left the release's cells meanwhile."""
    here = set(await rollout_members.observers_of(session, Target.of(trial.release)))
    wanted = [member.observer_id for member in trial.members if member.observer_id in here]
    rows = await session.execute(select(Observer.id, Observer.last_sync_at).where(Observer.id.in_(wanted)))
    return {row.id: row.last_sync_at for row in rows}


def _sums(windows: SQLColumnExpression[int], values: SQLColumnExpression[float]) -> list[Any]:
    """Return what `Spans` holds, in its order, summed over spans that hold windows."""
    some = windows > 0
    parts = (windows, values, windows * windows, windows * values, values * values)
    return [func.count().filter(some), *(func.coalesce(func.sum(part).filter(some), 0) for part in parts)]


def _spans(row: Sequence[Any]) -> Spans:
    return Spans(int(row[0]), *(float(value) for value in row[1:6]))


_OF_ONE_SPAN = (
    ScoreReport.observer_id == StatisticsReport.observer_id,
    ScoreReport.boot_id == StatisticsReport.boot_id,
    ScoreReport.sequence == StatisticsReport.sequence,
)


async def _reported(session: AsyncSession, trial: Trial) -> dict[str, _Reported]:
    shadow = trial.stage is ReleaseState.SHADOW
    rows = await session.execute(
        select(
            ScoreReport.observer_id,
            func.sum(ScoreReport.windows),
            func.sum(ScoreReport.anomalous_windows),
            func.sum(ScoreReport.unscored_windows),
            *_sums(_SCORED, ScoreReport.error_sum_db),
        )
        .where(ScoreReport.serial == trial.release.serial, ScoreReport.shadow.is_(shadow))
        .group_by(ScoreReport.observer_id)
    )
    return {row[0]: _Reported(int(row[1]), int(row[2]), int(row[3]), _spans(row[4:])) for row in rows}


async def _compare(session: AsyncSession, trial: Trial, looks: Looks, reported: dict[str, _Reported]) -> _Comparison:
    if trial.incumbent is None:
        return _Comparison()
    if trial.stage is ReleaseState.SHADOW:
        return await _compare_in_shadow(session, trial.release, reported)
    return await _compare_in_canary(session, trial, trial.incumbent, looks.past, reported)


async def _compare_in_shadow(session: AsyncSession, release: Release, reported: dict[str, _Reported]) -> _Comparison:
    """Return the differences that the agents took window by window."""
    rows = await session.execute(
        select(
            StatisticsReport.observer_id,
            *_sums(StatisticsReport.compared_windows, StatisticsReport.difference_sum_db),
        )
        .where(StatisticsReport.compared_shadow_serial == release.serial)
        .group_by(StatisticsReport.observer_id)
    )
    differences = {row[0]: _spans(row[1:]) for row in rows}
    own = sum((one.errors for one in reported.values()), Spans())
    active_error_db = own.mean - sum(differences.values(), Spans()).mean
    return _Comparison({name: mean_difference(spans) for name, spans in differences.items()}, active_error_db)


async def _compare_in_canary(
    session: AsyncSession, trial: Trial, incumbent: Release, past: timedelta, reported: dict[str, _Reported]
) -> _Comparison:
    """Return how errors changed against each observer's own past, less what the others of its cell saw meanwhile."""
    trying = {member.observer_id for member in trial.members}
    cells = await session.execute(select(Observer.id, Observer.cell_id).where(Observer.id.in_(trying)))
    cell_of = {row.id: row.cell_id for row in cells}
    own_before: defaultdict[str, Spans] = defaultdict(Spans)
    others: defaultdict[tuple[str, bool], Spans] = defaultdict(Spans)
    for observer_id, cell_id, later, spans in await _errors_of_active(session, trial, incumbent, past):
        if observer_id not in trying:
            others[cell_id, later] += spans
        elif not later and cell_of[observer_id] == cell_id:
            own_before[observer_id] += spans
    excesses = {
        name: excess(
            own=reported.get(name, _Reported()).errors,
            own_before=own_before[name],
            others=others[cell_id, True],
            others_before=others[cell_id, False],
        )
        for name, cell_id in cell_of.items()
    }
    now = sum((spans for (_, later), spans in others.items() if later), Spans())
    return _Comparison(excesses, (now if now.spans else sum(own_before.values(), Spans())).mean)


async def _errors_of_active(
    session: AsyncSession, trial: Trial, incumbent: Release, past: timedelta
) -> list[tuple[str, str, bool, Spans]]:
    """Return errors of the active model by observer and cell, before the trial began (false) and since (true).

    Spans belong to it by their model: it may have been released again under another serial.
    """
    began_at = min((member.offered_at for member in trial.members), default=trial.release.state_at)
    serials = select(Release.serial).where(
        Release.model_id == incumbent.model_id, Release.serial != trial.release.serial
    )
    cells = select(Observer.cell_id).where(Observer.id.in_([member.observer_id for member in trial.members]))
    later = StatisticsReport.end_at > began_at
    rows = await session.execute(
        select(
            StatisticsReport.observer_id,
            StatisticsReport.cell_id,
            later,
            *_sums(_SCORED, ScoreReport.error_sum_db),
        )
        .join(ScoreReport, and_(*_OF_ONE_SPAN))
        .where(
            StatisticsReport.cell_id.in_(cells),
            StatisticsReport.end_at > began_at - past,
            ScoreReport.serial.in_(serials),
            ScoreReport.shadow.is_(False),
        )
        .group_by(StatisticsReport.observer_id, StatisticsReport.cell_id, later)
    )
    return [(row[0], row[1], bool(row[2]), _spans(row[3:])) for row in rows]
