"""Training runs as messages and back."""

from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from bandwatch import names
from bandwatch.wire.convert import to_duration_message, to_span, to_timestamp
from bandwatch.wire.v1 import model_pb2
from coordinator.registry import entities
from coordinator.registry.entities import RunState
from coordinator.rpc.messages.plans import plan_message
from coordinator.rpc.messages.words import number_of, time_of
from coordinator.services.training.orders import StudentOrder, TeacherOrder, order_of
from coordinator.services.training.stages import stages_of


def run_order(message: model_pb2.TrainingRun) -> TeacherOrder | StudentOrder:
    """Return what a run is to make, as the service takes it."""
    if message.WhichOneof("spec") == "teacher":
        teacher = message.teacher
        return TeacherOrder(
            band_id=names.bands.id(teacher.band),
            cell_ids=[names.cells.id(cell) for cell in teacher.cells],
            family=teacher.family,
            layers=teacher.layers,
            max_epochs=teacher.max_epochs,
            stride_frames=teacher.stride_frames,
        )
    student = message.student
    return StudentOrder(
        cell_id=names.cells.id(student.cell),
        teacher_ids=[names.models.id(teacher) for teacher in student.teachers],
        families=list(student.families),
        frozen_layers=student.frozen_layers,
        max_epochs=student.max_epochs,
        stride_frames=student.stride_frames,
    )


def progress_json(message: model_pb2.TrainingProgress) -> dict[str, Any]:
    """Return a run's progress as the registry keeps it; the same time may come in many forms, and is kept in one.

    Raises:
        InvalidArgumentError: The time is longer than any calendar.
    """
    kept = type(message)()
    kept.CopyFrom(message)
    if message.HasField("elapsed"):
        kept.elapsed.CopyFrom(to_duration_message(to_span(message.elapsed)))
    return MessageToDict(kept, preserving_proto_field_name=True)


def run_message(run: entities.TrainingRun) -> model_pb2.TrainingRun:
    """Return a training run as a message."""
    message = model_pb2.TrainingRun(
        name=names.runs.name(run.id),
        release_on_success=run.release_on_success,
        seed=run.seed,
        state=number_of(RunState(run.state), model_pb2.TrainingRunState),
        attempts=run.attempts,
        model=names.models.name(run.model_id) if run.model_id else "",
        last_error=run.last_error or "",
        remark=run.remark or "",
        segment_count=run.segment_count,
        create_time=time_of(run.created_at),
        start_time=time_of(run.started_at),
        end_time=time_of(run.ended_at),
        deadline_time=time_of(run.deadline_at),
        release=names.releases.name(str(run.release_serial)) if run.release_serial else "",
        stages=[model_pb2.RunStage(stage=stage, time=to_timestamp(moment)) for stage, moment in stages_of(run)],
        policy=names.policies.name(run.policy_id) if run.policy_id else "",
        plan=plan_message(run.plan),
    )
    if run.progress is not None:
        ParseDict(run.progress, message.progress, ignore_unknown_fields=True)
    _fill_order(message, run)
    return message


def _fill_order(message: model_pb2.TrainingRun, run: entities.TrainingRun) -> None:
    order = order_of(run)
    if isinstance(order, TeacherOrder):
        message.teacher.band = names.bands.name(order.band_id)
        message.teacher.cells.extend(names.cells.name(cell_id) for cell_id in order.cell_ids)
        message.teacher.family, message.teacher.layers = order.family, order.layers
        message.teacher.max_epochs, message.teacher.stride_frames = order.max_epochs, order.stride_frames
        return
    message.student.cell = names.cells.name(order.cell_id)
    message.student.teachers.extend(names.models.name(model_id) for model_id in order.teacher_ids)
    message.student.families.extend(order.families)
    message.student.frozen_layers = order.frozen_layers
    message.student.max_epochs, message.student.stride_frames = order.max_epochs, order.stride_frames
