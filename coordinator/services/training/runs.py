"""Training runs: ordered with their data, leased, fenced, ended. The row is the truth; a broker only wakes workers."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.artifacts.manifest import ModelContent
from bandwatch.errors import ConflictError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from coordinator.registry.entities import (
    Cell,
    Model,
    RunSegment,
    RunState,
    Segment,
    TrainingRun,
)
from coordinator.services.paging import Page, PageRequest, read_page
from coordinator.services.releasing import models
from coordinator.services.training.orders import StudentOrder, order_of

LONGEST: Final = timedelta(hours=6)
"""A run that was given no deadline has this long from its first claim."""
OPEN: Final = (RunState.QUEUED, RunState.RUNNING)
"""States of a run that has not ended."""


@dataclass(frozen=True)
class Lease:
    """What a worker says that it holds: a run, by the fence it got with it. The worker is who its certificate says."""

    run_id: str
    fence: int
    worker: str


async def claim(session: AsyncSession, run_id: str, worker: str, *, lease: timedelta, attempts: int) -> TrainingRun:
    """Take a lease on a run that is queued, or whose lease ran out, and raise its fence.

    Raises:
        NotFoundError: There is no such run.
        FailedPreconditionError: Another worker holds it, it has ended, or its attempts are used up.
    """
    free = or_(
        TrainingRun.state == RunState.QUEUED,
        and_(TrainingRun.state == RunState.RUNNING, TrainingRun.lease_until < func.now()),
    )
    run: TrainingRun | None = await session.scalar(
        update(TrainingRun)
        .where(TrainingRun.id == run_id, free, TrainingRun.attempts < attempts)
        .values(
            state=RunState.RUNNING,
            attempts=TrainingRun.attempts + 1,
            fence=TrainingRun.fence + 1,
            lease_until=func.now() + lease,
            worker=worker,
            started_at=func.coalesce(TrainingRun.started_at, func.now()),
            deadline_at=func.coalesce(TrainingRun.deadline_at, func.now() + LONGEST),
        )
        .returning(TrainingRun)
    )
    if run is None:
        current = await get(session, run_id)
        raise FailedPreconditionError(
            f"{names.runs.name(run_id)} is {current.state.value} after {current.attempts} attempts"
            f"{', held by ' + current.worker if current.worker and current.state is RunState.RUNNING else ''}; "
            "there is nothing to claim"
        )
    return run


async def hold(session: AsyncSession, held: Lease) -> TrainingRun:
    """Return a run that the caller still owns, locked until the transaction ends.

    Raises:
        ConflictError: Somebody else owns it now, or it has ended, as one that was cancelled.
    """
    run: TrainingRun | None = await session.scalar(
        select(TrainingRun).where(_held(held), TrainingRun.state == RunState.RUNNING).with_for_update()
    )
    if run is None:
        raise ConflictError(
            f"the lease on {names.runs.name(held.run_id)} was lost, or the run has ended; stop this attempt"
        )
    return run


def _held(held: Lease) -> ColumnElement[bool]:
    return and_(TrainingRun.id == held.run_id, TrainingRun.fence == held.fence, TrainingRun.worker == held.worker)


async def report(session: AsyncSession, held: Lease, progress: dict[str, Any] | None, *, lease: timedelta) -> None:
    """Renew a lease and keep what the run says of its progress.

    Raises:
        ConflictError: The lease was lost.
    """
    run = await hold(session, held)
    run.lease_until = await session.scalar(select(func.now() + lease))
    if progress is not None:
        run.progress = progress


async def finish(session: AsyncSession, held: Lease, content: ModelContent, *, parent_id: str | None) -> Model:
    """Register the model of a run and end the run. A repeated call by the same owner gives the same model.

    Raises:
        ConflictError: The lease was lost.
        InvalidArgumentError: The parent is no teacher that the run was ordered with, or its error is missing.
    """
    done = await session.scalar(select(TrainingRun).where(_held(held), TrainingRun.state == RunState.SUCCEEDED))
    if done is not None and done.model_id:
        return await models.get(session, done.model_id)
    run = await hold(session, held)
    model = await _model_of(session, run, content, parent_id)
    session.add(model)
    run.state, run.model_id, run.lease_until, run.last_error = RunState.SUCCEEDED, model.id, None, None
    run.remark = _why_not_released(content) if run.release_on_success else None
    run.ended_at = await session.scalar(select(func.now()))
    await session.flush()
    await session.refresh(model)
    return model


async def _model_of(session: AsyncSession, run: TrainingRun, content: ModelContent, parent_id: str | None) -> Model:
    order = order_of(run)
    if parent_id is not None:
        _check_parent(run, order.teacher_ids if isinstance(order, StudentOrder) else [], content, parent_id)
    made = Model(id=f"m-{secrets.token_hex(8)}", run_id=run.id, content=content.model_dump(mode="json"))
    if isinstance(order, StudentOrder):
        cell = await session.get_one(Cell, order.cell_id)
        made.band_id, made.cell_id, made.parent_id = cell.band_id, cell.id, parent_id
    else:
        made.band_id = order.band_id
    return made


def _check_parent(run: TrainingRun, teacher_ids: list[str], content: ModelContent, parent_id: str) -> None:
    name = names.models.name(parent_id)
    if parent_id not in teacher_ids:
        raise InvalidArgumentError(
            f"{name} is none of the {len(teacher_ids)} teachers that {names.runs.name(run.id)} was ordered with; "
            "name the one that the model started from"
        )
    if content.parent_error is None:
        raise InvalidArgumentError(f"the error of {name} is missing: without it nobody can tell whether to release")


def _why_not_released(content: ModelContent) -> str | None:
    """Return why a model may not be released by itself, or nothing where it may."""
    if content.parent_error is None or content.beats_parent:
        return None
    return (
        f"the student's error of {content.error.mean_db:.2f} dB is not below its teacher's "
        f"{content.parent_error.mean_db:.2f} dB on held-out blocks: not released"
    )


async def fail(
    session: AsyncSession, held: Lease, error: str, *, retryable: bool, interrupted: bool, attempts: int
) -> TrainingRun:
    """Give a run back with what went wrong: to be tried again, or ended when that cannot help.

    An attempt that was interrupted, because its worker was stopped, does not count.

    Raises:
        ConflictError: The lease was lost.
    """
    run = await hold(session, held)
    run.last_error, run.lease_until = error, None
    if interrupted:
        run.attempts -= 1
    if retryable and run.attempts < attempts:
        run.state, run.published_at = RunState.QUEUED, None
    else:
        run.state, run.ended_at = RunState.FAILED, await session.scalar(select(func.now()))
    return run


async def cancel(session: AsyncSession, run_id: str) -> TrainingRun:
    """End a run before it is done. Its worker hears of it when it renews its lease next. Doing it again is harmless.

    Raises:
        NotFoundError: There is no such run.
        FailedPreconditionError: It has ended otherwise.
    """
    ended: TrainingRun | None = await session.scalar(
        update(TrainingRun)
        .where(TrainingRun.id == run_id, TrainingRun.state.in_(OPEN))
        .values(state=RunState.CANCELLED, ended_at=func.now(), lease_until=None)
        .returning(TrainingRun)
    )
    run = ended or await get(session, run_id)
    if run.state is not RunState.CANCELLED:
        raise FailedPreconditionError(f"{names.runs.name(run_id)} has {run.state.value} already; nothing to cancel")
    return run


async def end_overdue(session: AsyncSession) -> list[str]:
    """End runs whose deadline is over, and return their identifiers."""
    ended = await session.scalars(
        update(TrainingRun)
        .where(TrainingRun.state.in_(OPEN), TrainingRun.deadline_at < func.now())
        .values(
            state=RunState.FAILED,
            ended_at=func.now(),
            lease_until=None,
            last_error=func.concat_ws("; before that: ", "not done by its deadline", TrainingRun.last_error),
        )
        .returning(TrainingRun.id)
        .execution_options(synchronize_session=False)
    )
    return list(ended)


async def end_poisoned(session: AsyncSession, *, attempts: int) -> list[str]:
    """End runs whose last allowed attempt vanished without a word, and return their identifiers."""
    ended = await session.scalars(
        update(TrainingRun)
        .where(
            TrainingRun.state == RunState.RUNNING,
            TrainingRun.lease_until < func.now(),
            TrainingRun.attempts >= attempts,
        )
        .values(
            state=RunState.FAILED,
            ended_at=func.now(),
            last_error=func.coalesce(
                TrainingRun.last_error, f"the worker vanished in each of {attempts} attempts; read its log"
            ),
        )
        .returning(TrainingRun.id)
    )
    return list(ended)


async def due(session: AsyncSession, *, republish: timedelta) -> list[str]:
    """Return runs that workers must hear of: never announced, announced in vain, or dropped by their worker.

    Each counts as announced from now on, so that a second replica does not announce it too.
    """
    unheard = or_(TrainingRun.published_at.is_(None), TrainingRun.published_at < func.now() - republish)
    waiting = and_(TrainingRun.state == RunState.QUEUED, unheard)
    dropped = and_(
        TrainingRun.state == RunState.RUNNING,
        TrainingRun.lease_until < func.now(),
        or_(TrainingRun.published_at < TrainingRun.lease_until, unheard),
    )
    found = await session.scalars(
        update(TrainingRun)
        .where(or_(waiting, dropped))
        .values(published_at=func.now())
        .returning(TrainingRun.id)
        .execution_options(synchronize_session=False)
    )
    return list(found)


async def mark_published(session: AsyncSession, run_id: str) -> None:
    """Note that workers have been told of a run."""
    await session.execute(update(TrainingRun).where(TrainingRun.id == run_id).values(published_at=func.now()))


async def unpublish(session: AsyncSession, run_id: str) -> None:
    """Take back that workers have heard of a run, because the broker did not take the message."""
    await session.execute(update(TrainingRun).where(TrainingRun.id == run_id).values(published_at=None))


async def get(session: AsyncSession, run_id: str) -> TrainingRun:
    """Read a run.

    Raises:
        NotFoundError: There is none of that name.
    """
    run = await session.get(TrainingRun, run_id)
    if run is None:
        raise NotFoundError(f"{names.runs.name(run_id)} does not exist; list the runs to see which do")
    return run


async def list_runs(session: AsyncSession, page: PageRequest, *, state: RunState | None) -> Page[TrainingRun]:
    """List runs, newest first, in one state or in any."""
    query = select(TrainingRun)
    if state:
        query = query.where(TrainingRun.state == state)
    return await read_page(session, query, [TrainingRun.created_at, TrainingRun.id], page, newest_first=True)


async def list_segments(session: AsyncSession, run_id: str, page: PageRequest) -> Page[Segment]:
    """List the segments that a run was ordered with."""
    key = [Segment.observer_id, Segment.boot_id, Segment.sequence]
    chosen = select(RunSegment.observer_id, RunSegment.boot_id, RunSegment.sequence).where(RunSegment.run_id == run_id)
    return await read_page(session, select(Segment).where(tuple_(*key).in_(chosen)), key, page)
