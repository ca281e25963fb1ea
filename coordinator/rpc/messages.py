"""Rows as messages and messages as the inputs of services."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from bandwatch import names
from bandwatch.wire.content import content_to_message
from bandwatch.wire.convert import to_duration_message, to_moment, to_span, to_timestamp
from bandwatch.wire.v1 import admin_service_pb2, model_pb2, observer_service_pb2, spectrum_pb2
from coordinator.registry import entities
from coordinator.registry.entities import LinkDirection, Mobility, Purpose, ReleaseState, RunState
from coordinator.services.anomalies import NewAnomaly
from coordinator.services.observers import DesiredState
from coordinator.services.orders import StudentOrder, TeacherOrder, order_of
from coordinator.services.segments import NewSegment

WordT = TypeVar("WordT", bound=StrEnum)


def word_of(kind: type[WordT], wrapper: Any, number: int) -> WordT:
    """Return the registry's word for a value of a message's enum."""
    prefix = f"{wrapper.DESCRIPTOR.values_by_number[0].name.removesuffix('UNSPECIFIED')}"
    return kind(wrapper.Name(number).removeprefix(prefix).lower())


def number_of(word: StrEnum, wrapper: Any) -> Any:
    """Return the value of a message's enum for the registry's word."""
    prefix = f"{wrapper.DESCRIPTOR.values_by_number[0].name.removesuffix('UNSPECIFIED')}"
    return wrapper.Value(prefix + word.value.upper())


def _time(moment: datetime | None) -> Timestamp | None:
    return to_timestamp(moment) if moment else None


def band_message(band: entities.Band) -> spectrum_pb2.Band:
    """Return a band as a message."""
    return spectrum_pb2.Band(
        name=names.bands.name(band.id),
        title=band.title,
        center_hz=band.center_hz,
        width_hz=band.width_hz,
        direction=number_of(band.direction, spectrum_pb2.LinkDirection),
        create_time=_time(band.created_at),
    )


def cell_message(cell: entities.Cell) -> spectrum_pb2.Cell:
    """Return a cell as a message."""
    return spectrum_pb2.Cell(
        name=names.cells.name(cell.id),
        title=cell.title,
        band=names.bands.name(cell.band_id),
        create_time=_time(cell.created_at),
    )


def observer_message(observer: entities.Observer, desired_serial: int) -> admin_service_pb2.Observer:
    """Return an observer as a message, with what it reported and the serial that it is to run."""
    message = admin_service_pb2.Observer(
        name=names.observers.name(observer.id),
        title=observer.title,
        cell=names.cells.name(observer.cell_id),
        mobility=number_of(observer.mobility, spectrum_pb2.Mobility),
        training_target=to_duration_message(observer.training_target),
        revision=observer.revision,
        create_time=_time(observer.created_at),
        last_sync_time=_time(observer.last_sync_at),
        desired_serial=desired_serial,
    )
    if observer.reported is not None:
        ParseDict(observer.reported, message.reported, ignore_unknown_fields=True)
    return message


def desired_message(desired: DesiredState) -> observer_service_pb2.DesiredState:
    """Return what an observer is to be as a message."""
    message = observer_service_pb2.DesiredState(
        revision=desired.observer.revision,
        cell=cell_message(desired.cell),
        band=band_message(desired.band),
        training_target=to_duration_message(desired.observer.training_target),
    )
    if desired.release:
        message.release.serial = desired.release.serial
        message.release.manifest.CopyFrom(_manifest_reference(desired.release))
    return message


def segment_message(segment: entities.Segment) -> spectrum_pb2.Segment:
    """Return a segment as a message."""
    return spectrum_pb2.Segment(
        name=names.segment_name(segment.observer_id, segment.boot_id, segment.sequence),
        observer=names.observers.name(segment.observer_id),
        origin=spectrum_pb2.Origin(boot_id=segment.boot_id, sequence=segment.sequence),
        cell=names.cells.name(segment.cell_id),
        start_time=to_timestamp(segment.start_at),
        clock_error=to_duration_message(segment.clock_error) if segment.clock_error is not None else None,
        frame_count=segment.frame_count,
        reference_dbm=segment.reference_dbm,
        purpose=number_of(segment.purpose, spectrum_pb2.Purpose),
        context=ParseDict(segment.context, spectrum_pb2.Context()),
        quality=spectrum_pb2.ReceptionQuality(
            clipped_share=segment.clipped_share,
            lost_samples=segment.lost_samples,
            noise_only=segment.noise_only,
            gain_db=segment.gain_db,
        ),
        scored_by_serial=segment.scored_by_serial,
        anomalous_windows=segment.anomalous_windows,
        codes_digest=segment.codes_digest,
        store_time=_time(segment.stored_at),
    )


def new_segment(message: spectrum_pb2.Segment) -> NewSegment:
    """Return a segment as the service takes it, from a message that keeps the contract."""
    return NewSegment(
        observer_id=names.observers.id(message.observer),
        boot_id=message.origin.boot_id,
        sequence=message.origin.sequence,
        cell_id=names.cells.id(message.cell),
        start_at=to_moment(message.start_time),
        clock_error=to_span(message.clock_error) if message.HasField("clock_error") else None,
        frame_count=message.frame_count,
        reference_dbm=message.reference_dbm,
        purpose=word_of(Purpose, spectrum_pb2.Purpose, message.purpose),
        context=MessageToDict(message.context, preserving_proto_field_name=True),
        clipped_share=message.quality.clipped_share,
        lost_samples=min(message.quality.lost_samples, 2**63 - 1),
        noise_only=message.quality.noise_only,
        gain_db=message.quality.gain_db if message.quality.HasField("gain_db") else None,
        scored_by_serial=message.scored_by_serial,
        anomalous_windows=message.anomalous_windows,
        codes_digest=message.codes_digest,
    )


def anomaly_message(anomaly: entities.Anomaly) -> spectrum_pb2.Anomaly:
    """Return an anomaly as a message."""
    return spectrum_pb2.Anomaly(
        name=names.anomaly_name(anomaly.observer_id, anomaly.boot_id, anomaly.sequence),
        observer=names.observers.name(anomaly.observer_id),
        origin=spectrum_pb2.Origin(boot_id=anomaly.boot_id, sequence=anomaly.sequence),
        cell=names.cells.name(anomaly.cell_id),
        window_start_time=to_timestamp(anomaly.window_start_at),
        window_duration=to_duration_message(anomaly.window_duration),
        error_db=anomaly.error_db,
        score=anomaly.score,
        value=anomaly.value,
        threshold=anomaly.threshold,
        false_alarm_rate=anomaly.false_alarm_rate,
        model=names.models.name(anomaly.model_id),
        serial=anomaly.serial,
    )


def new_anomaly(message: spectrum_pb2.Anomaly, observer_id: str) -> NewAnomaly:
    """Return an anomaly as the service takes it, from a message that keeps the contract."""
    return NewAnomaly(
        observer_id=observer_id,
        boot_id=message.origin.boot_id,
        sequence=message.origin.sequence,
        cell_id=names.cells.id(message.cell),
        window_start_at=to_moment(message.window_start_time),
        window_duration=to_span(message.window_duration),
        error_db=message.error_db,
        score=message.score,
        value=message.value,
        threshold=message.threshold,
        false_alarm_rate=message.false_alarm_rate,
        model_id=names.models.id(message.model),
        serial=message.serial,
    )


def model_message(model: entities.Model) -> model_pb2.Model:
    """Return a model as a message."""
    return model_pb2.Model(
        name=names.models.name(model.id),
        band=names.bands.name(model.band_id),
        cell=names.cells.name(model.cell_id) if model.cell_id else "",
        parent=names.models.name(model.parent_id) if model.parent_id else "",
        run=names.runs.name(model.run_id) if model.run_id else "",
        content=content_to_message(model.trained_content),
        create_time=_time(model.created_at),
    )


def _manifest_reference(release: entities.Release) -> model_pb2.BlobReference:
    return model_pb2.BlobReference(digest=release.manifest_digest, size_bytes=release.manifest_bytes)


def release_message(release: entities.Release) -> model_pb2.Release:
    """Return a release as a message."""
    return model_pb2.Release(
        name=names.releases.name(str(release.serial)),
        model=names.models.name(release.model_id),
        serial=release.serial,
        band=names.bands.name(release.band_id),
        cell=names.cells.name(release.cell_id) if release.cell_id else "",
        state=number_of(ReleaseState(release.state), model_pb2.ReleaseState),
        manifest=_manifest_reference(release),
        create_time=_time(release.created_at),
    )


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
        create_time=_time(run.created_at),
        start_time=_time(run.started_at),
        end_time=_time(run.ended_at),
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


def optional_word(kind: type[WordT], wrapper: Any, number: int) -> WordT | None:
    """Return the registry's word for a filter, or nothing where the filter is not set."""
    return word_of(kind, wrapper, number) if number else None


def optional_id(collection: names.Collection, name: str) -> str | None:
    """Return the identifier of a filter's name, or nothing where the filter is not set."""
    return collection.id(name) if name else None


def training_target(message: admin_service_pb2.Observer) -> timedelta | None:
    """Return how much an observer is to upload for training, or nothing where the message leaves it open."""
    return to_span(message.training_target) if message.HasField("training_target") else None


def mobility(message: admin_service_pb2.Observer) -> Mobility:
    """Return how an observer moves."""
    return word_of(Mobility, spectrum_pb2.Mobility, message.mobility)


def link_direction(message: spectrum_pb2.Band) -> LinkDirection:
    """Return which way a band carries traffic."""
    return word_of(LinkDirection, spectrum_pb2.LinkDirection, message.direction)
