"""Policies, data of cells and health of observers as messages and back."""

from bandwatch import names
from bandwatch.wire.convert import to_duration_message, to_span, to_timestamp
from bandwatch.wire.v1 import policy_pb2
from coordinator.registry import policies as registry
from coordinator.rpc.messages.plans import plan_json, plan_message
from coordinator.rpc.messages.words import number_of, time_of
from coordinator.services.training.gate import CellData
from coordinator.services.training.policies import STUDENT_DATA, Wanted


def wanted_policy(message: policy_pb2.Policy) -> Wanted:
    """Return a policy as the service takes it, from a message that keeps the contract."""
    of_cell = message.target.startswith(f"{names.cells.word}/")
    return Wanted(
        band_id=None if of_cell else names.bands.id(message.target),
        cell_id=names.cells.id(message.target) if of_cell else None,
        enabled=message.enabled,
        student_data=to_span(message.student_data) if message.HasField("student_data") else STUDENT_DATA,
        student_lifetime=to_span(message.student_lifetime) if message.HasField("student_lifetime") else None,
        refit_on_drift=message.refit_on_drift,
        frozen_layers=message.frozen_layers,
        max_epochs=message.max_epochs,
        stride_frames=message.stride_frames,
        plan=plan_json(message),
    )


def policy_message(policy: registry.Policy) -> policy_pb2.Policy:
    """Return a policy as a message."""
    lifetime = policy.student_lifetime
    return policy_pb2.Policy(
        name=names.policies.name(policy.id),
        target=names.cells.name(policy.cell_id) if policy.cell_id else names.bands.name(policy.band_id or ""),
        enabled=policy.enabled,
        student_data=to_duration_message(policy.student_data),
        student_lifetime=to_duration_message(lifetime) if lifetime is not None else None,
        refit_on_drift=policy.refit_on_drift,
        frozen_layers=policy.frozen_layers,
        max_epochs=policy.max_epochs,
        stride_frames=policy.stride_frames,
        plan=plan_message(policy.plan),
        create_time=time_of(policy.created_at),
        remark=policy.remark,
    )


def cell_data_message(data: CellData) -> policy_pb2.GetCellDataResponse:
    """Return what is stored of a cell as a message."""
    return policy_pb2.GetCellDataResponse(
        segments=data.segments,
        duration=to_duration_message(data.duration),
        clean_segments=data.clean_segments,
        clean_duration=to_duration_message(data.clean_duration),
        refusals=[
            policy_pb2.DataRefusal(reason=reason, segments=count) for reason, count in sorted(data.refusals.items())
        ],
    )


def health_message(health: registry.ObserverHealth) -> policy_pb2.ObserverHealth:
    """Return what was found out about an observer as a message."""
    return policy_pb2.ObserverHealth(
        observer=names.observers.name(health.observer_id),
        cell=names.cells.name(health.cell_id),
        finding=number_of(registry.HealthFinding(health.finding), policy_pb2.HealthFinding),
        reason=health.reason,
        since_time=to_timestamp(health.since_at),
    )
