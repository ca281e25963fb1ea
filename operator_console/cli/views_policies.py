"""How policies, data of cells, health and stages of runs are shown to people."""

from typing import Final

from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1.model_pb2 import TrainingRun
from bandwatch.wire.v1.policy_pb2 import (
    GetCellDataResponse,
    HealthFinding,
    ObserverHealth,
    Policy,
    RevokeObserverResponse,
)
from operator_console.cli.output import View
from operator_console.cli.texts import duration, moment, span, word
from operator_console.cli.views import RUN

POLICY: Final = View[Policy](
    columns={
        "name": lambda policy: policy.name,
        "target": lambda policy: policy.target,
        "enabled": lambda policy: "yes" if policy.enabled else "no",
        "student data": lambda policy: duration(policy.student_data),
        "lifetime": lambda policy: duration(policy.student_lifetime) if policy.HasField("student_lifetime") else "none",
        "refit on drift": lambda policy: "yes" if policy.refit_on_drift else "no",
        "remark": lambda policy: policy.remark,
    },
    details={
        "frozen layers": lambda policy: str(policy.frozen_layers),
        "max epochs": lambda policy: str(policy.max_epochs),
        "stride frames": lambda policy: str(policy.stride_frames),
        "created": lambda policy: moment(policy.create_time),
    },
)

CELL_DATA: Final = View[GetCellDataResponse](
    columns={
        "stored": lambda data: f"{data.segments} segments, {duration(data.duration)}",
        "may train": lambda data: f"{data.clean_segments} segments, {duration(data.clean_duration)}",
        "refused": lambda data: "\n".join(f"{refusal.segments} {refusal.reason}" for refusal in data.refusals),
    },
    details={},
)

HEALTH: Final = View[ObserverHealth](
    columns={
        "observer": lambda health: health.observer,
        "cell": lambda health: health.cell,
        "finding": lambda health: word(HealthFinding, health.finding).replace("_", " "),
        "since": lambda health: moment(health.since_time),
        "reason": lambda health: health.reason,
    },
    details={},
)

REVOCATION: Final = View[RevokeObserverResponse](
    columns={
        "segments": lambda revoked: str(revoked.segments),
        "models that learnt from them": lambda revoked: "\n".join(revoked.models) or "none",
        "runs that replace them": lambda revoked: "\n".join(revoked.runs) or "none",
    },
    details={},
)


def _stages(run: TrainingRun) -> str:
    """Return a line for each stage with its time, the seconds since the stage before, and those since the order."""
    lines = []
    moments = [to_moment(stage.time) for stage in run.stages]
    for stage, now, before in zip(run.stages, moments, [*moments[:1], *moments], strict=False):
        after, in_all = (now - before).total_seconds(), (now - moments[0]).total_seconds()
        lines.append(f"{stage.stage:20} {now:%Y-%m-%d %H:%M:%SZ}  +{after:.1f} s, {in_all:.1f} s in all")
    return "\n".join(lines)


def _whole(run: TrainingRun) -> str:
    if not run.stages or run.stages[-1].stage != "running everywhere":
        return "not yet"
    return span(to_moment(run.stages[-1].time) - to_moment(run.stages[0].time))


RUN_WITH_STAGES: Final = View[TrainingRun](
    columns=RUN.columns,
    details={
        **RUN.details,
        "policy": lambda run: run.policy,
        "release": lambda run: run.release,
        "deadline": lambda run: moment(run.deadline_time),
        "stages": _stages,
        "from order to everywhere": _whole,
    },
)
