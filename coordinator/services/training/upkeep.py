"""Does what policies say: looks how their cells stand, decides, orders runs and captures, and says what it did."""

from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.errors import BandwatchError
from coordinator.registry.policies import Policy
from coordinator.services.fleet import captures
from coordinator.services.training import orders, standings
from coordinator.services.training.gate import DataRules
from coordinator.services.training.schedule import Capture, Decision, Train, Wait, decide

_MOST_REMARKS = 5
_log = structlog.get_logger()


@dataclass(frozen=True)
class Limits:
    """How much the schedule may order: so many open runs, and so long a rest after one that came to nothing."""

    open_runs: int
    rest: timedelta


async def keep_up(session: AsyncSession, rules: DataRules, limits: Limits) -> None:
    """Do for every governed cell what its policy says is due."""
    stood = await standings.look(session, rules, limits.rest)
    policies = {standing.cell_id: policy for standing, policy in stood}
    open_runs = await standings.count_open_runs(session)
    decisions = decide([standing for standing, _ in stood], open_runs=open_runs, limit=limits.open_runs)
    remarks: dict[str, list[str]] = {}
    for decision in decisions:
        policy = policies[decision.cell_id]
        remark = await _carry_out(session, policy, decision, rules)
        remarks.setdefault(policy.id, []).append(f"{names.cells.name(decision.cell_id)}: {remark}")
    for policy in {policy.id: policy for policy in policies.values()}.values():
        _write_remark(policy, remarks[policy.id])


async def _carry_out(session: AsyncSession, policy: Policy, decision: Decision, rules: DataRules) -> str:
    """Do what was decided, and say it for people. One cell's trouble does not keep the others from theirs."""
    if isinstance(decision, Wait):
        return decision.why
    try:
        async with session.begin_nested():
            if isinstance(decision, Train):
                return await _train(session, policy, decision, rules)
            return await _capture(session, policy, decision)
    except BandwatchError as error:
        return f"{decision.why}; {error.message}"


async def _train(session: AsyncSession, policy: Policy, decision: Train, rules: DataRules) -> str:
    wanted = orders.StudentOrder(
        cell_id=decision.cell_id,
        teacher_ids=[],
        frozen_layers=policy.frozen_layers,
        max_epochs=policy.max_epochs,
        stride_frames=policy.stride_frames,
    )
    run = await orders.order(
        session,
        wanted,
        replace(rules, student_data=policy.student_data),
        run_id="",
        release_on_success=True,
        seed=0,
        plan=policy.plan,
        policy_id=policy.id,
    )
    _log.info("a policy ordered a student", policy=policy.id, cell=decision.cell_id, run=run.id, why=decision.why)
    return f"ordered {names.runs.name(run.id)}, since {decision.why}"


async def _capture(session: AsyncSession, policy: Policy, decision: Capture) -> str:
    for observer_id, share in decision.shares.items():
        await captures.order(
            session, observer_id=observer_id, cell_id=decision.cell_id, policy_id=policy.id, duration=share
        )
    _log.info("a policy asked for data", policy=policy.id, cell=decision.cell_id, why=decision.why)
    return f"{decision.why}; asked {len(decision.shares)} observers for more"


def _write_remark(policy: Policy, remarks: list[str]) -> None:
    shown = remarks[:_MOST_REMARKS]
    if len(remarks) > len(shown):
        shown.append(f"and {len(remarks) - len(shown)} more cells")
    remark = "\n".join(shown)
    if remark != policy.remark:
        policy.remark = remark
