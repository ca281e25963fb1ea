"""Orders of training runs: what to make, and from which segments, frozen when the order is given."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, NotFoundError
from coordinator.registry.entities import Cell, RunKind, RunSegment, Segment, TrainingRun
from coordinator.services import cells
from coordinator.services.releasing import models, releases
from coordinator.services.training import gate
from coordinator.services.training.gate import DataRules

MOST_TEACHERS: Final = 16
"""Teachers that one student chooses among, at most."""
WITHOUT_TEACHER: Final = "linear"
"""The family of students that is solved on the cell's data alone."""


@dataclass(frozen=True)
class TeacherOrder:
    """Build a band's teacher; from every cell of the band when none is named."""

    band_id: str
    cell_ids: list[str]
    max_epochs: int
    stride_frames: int
    family: str = ""
    layers: int = 0


@dataclass(frozen=True)
class StudentOrder:
    """Make a model for one cell, of one of these families (of any when there are none), from one of these teachers."""

    cell_id: str
    teacher_ids: list[str]
    frozen_layers: int
    max_epochs: int
    stride_frames: int
    families: list[str] = field(default_factory=list)
    teachers_found: bool = False
    """Whether the order named no teacher, and got those that were in force when it was given."""


async def order(
    session: AsyncSession,
    wanted: TeacherOrder | StudentOrder,
    rules: DataRules,
    *,
    run_id: str,
    release_on_success: bool,
    seed: int,
    plan: dict[str, Any] | None = None,
    deadline_at: datetime | None = None,
    policy_id: str | None = None,
) -> TrainingRun:
    """Order a run and freeze its list of segments. Ordering again under the same identifier gives the same run.

    Raises:
        AlreadyExistsError: The identifier belongs to a run with another order.
        NotFoundError: The band, cell or a teacher does not exist.
        FailedPreconditionError: No segment may train, or a student names no teacher and none is in force.
    """
    run_id = run_id or f"r-{secrets.token_hex(8)}"
    kind = RunKind.TEACHER if isinstance(wanted, TeacherOrder) else RunKind.STUDENT
    before = await session.get(TrainingRun, run_id)
    if before is not None:
        given = (_as_given(order_of(before)), before.seed, before.release_on_success)
        if given == (wanted, seed, release_on_success):
            return before
        raise AlreadyExistsError(f"{names.runs.name(run_id)} exists already with another order; choose another name")
    cell_ids = await _cells_of(session, wanted)
    if isinstance(wanted, StudentOrder):
        wanted = await _with_teachers(session, wanted)
    limit = rules.teacher_data if kind is RunKind.TEACHER else rules.student_data
    chosen = await gate.choose(session, cell_ids, rules, limit)
    run = TrainingRun(
        id=run_id,
        kind=kind,
        order=asdict(wanted),
        release_on_success=release_on_success,
        seed=seed,
        segment_count=len(chosen),
        plan=plan,
        deadline_at=deadline_at,
        policy_id=policy_id,
    )
    session.add(run)
    await session.flush()
    await session.execute(insert(RunSegment), _list_of(run_id, chosen))
    await session.refresh(run)
    return run


def _list_of(run_id: str, chosen: Sequence[Segment]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": run_id,
            "position": position,
            "observer_id": segment.observer_id,
            "boot_id": segment.boot_id,
            "sequence": segment.sequence,
        }
        for position, segment in enumerate(chosen)
    ]


def order_of(run: TrainingRun) -> TeacherOrder | StudentOrder:
    """Return what a run is to make, also where an earlier version wrote down that a student has one teacher."""
    if run.kind is RunKind.TEACHER:
        return TeacherOrder(**run.order)
    plain = dict(run.order)
    if "teacher_id" in plain:
        plain["teacher_ids"] = [plain.pop("teacher_id")]
    return StudentOrder(**plain)


def _as_given(order: TeacherOrder | StudentOrder) -> TeacherOrder | StudentOrder:
    if isinstance(order, StudentOrder) and order.teachers_found:
        return replace(order, teacher_ids=[], teachers_found=False)
    return order


async def _with_teachers(session: AsyncSession, wanted: StudentOrder) -> StudentOrder:
    """Return an order whose teachers exist; where it names none, those in force now are its teachers from now on."""
    for teacher_id in wanted.teacher_ids:
        await models.get(session, teacher_id)
    if wanted.teacher_ids or wanted.teachers_found:
        return wanted
    found = await releases.models_in_force(session, outside_cell=wanted.cell_id, limit=MOST_TEACHERS)
    if not found and WITHOUT_TEACHER not in wanted.families:
        raise FailedPreconditionError(
            f"no model is in force that a student of {names.cells.name(wanted.cell_id)} could start from: release a "
            f"teacher first, name a model to start from, or ask for the family {WITHOUT_TEACHER}, which needs none"
        )
    return replace(wanted, teacher_ids=found, teachers_found=True)


async def _cells_of(session: AsyncSession, wanted: TeacherOrder | StudentOrder) -> list[str]:
    if isinstance(wanted, StudentOrder):
        await cells.get_cell(session, wanted.cell_id)
        return [wanted.cell_id]
    await cells.get_band(session, wanted.band_id)
    of_band = set(await session.scalars(select(Cell.id).where(Cell.band_id == wanted.band_id)))
    strangers = sorted(set(wanted.cell_ids) - of_band)
    if strangers:
        raise NotFoundError(
            f"{names.cells.name(strangers[0])} is no cell of {names.bands.name(wanted.band_id)}; "
            "a teacher learns from cells of its own band"
        )
    return sorted(wanted.cell_ids or of_band)
