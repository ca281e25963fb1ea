"""Plans of rollouts as messages and back."""

from datetime import timedelta
from typing import Any

from bandwatch.wire.convert import to_duration_message, to_span
from bandwatch.wire.v1 import model_pb2
from coordinator.services.releasing.plans import RolloutPlan


def rollout_plan(message: model_pb2.RolloutPlan) -> RolloutPlan:
    """Return a plan as the service takes it."""
    return RolloutPlan(
        at_once=message.at_once,
        shadow=message.shadow,
        canary_share=message.canary_share,
        minimum_windows=message.minimum_windows,
        minimum_time_s=to_span(message.minimum_time).total_seconds(),
        deadline_s=to_span(message.deadline).total_seconds(),
        failure_limit=message.failure_limit,
        error_margin_db=message.error_margin_db,
        false_alarm_limit=message.false_alarm_limit,
    )


def plan_json(carrier: Any) -> dict[str, Any] | None:
    """Return the plan that a message carries as the registry keeps it, or nothing where it carries none."""
    return rollout_plan(carrier.plan).to_json() if carrier.HasField("plan") else None


def plan_message(plain: dict[str, Any] | None) -> model_pb2.RolloutPlan | None:
    """Return a kept plan as a message, where there is one."""
    if not plain:
        return None
    plan = RolloutPlan.from_json(plain)
    return model_pb2.RolloutPlan(
        at_once=plan.at_once,
        shadow=plan.shadow,
        canary_share=plan.canary_share,
        minimum_windows=plan.minimum_windows,
        minimum_time=to_duration_message(timedelta(seconds=plan.minimum_time_s)) if plan.minimum_time_s else None,
        deadline=to_duration_message(timedelta(seconds=plan.deadline_s)) if plan.deadline_s else None,
        failure_limit=plan.failure_limit,
        error_margin_db=plan.error_margin_db,
        false_alarm_limit=plan.false_alarm_limit,
    )
