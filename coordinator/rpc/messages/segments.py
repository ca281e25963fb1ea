"""Segments and anomalies as messages and back."""

from google.protobuf.json_format import MessageToDict, ParseDict

from bandwatch import names
from bandwatch.artifacts.ladder import Rung
from bandwatch.wire.convert import to_duration_message, to_moment, to_span, to_timestamp
from bandwatch.wire.v1 import spectrum_pb2
from coordinator.registry import entities
from coordinator.registry.entities import Purpose
from coordinator.rpc.messages.words import number_of, optional_word, time_of, word_of
from coordinator.services.detection.anomalies import NewAnomaly
from coordinator.services.training.segments import NewSegment


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
            gain_changed=segment.gain_changed,
        ),
        scored_by_serial=segment.scored_by_serial,
        anomalous_windows=segment.anomalous_windows,
        codes_digest=segment.codes_digest,
        self_test=names.self_tests.name(segment.self_test_id) if segment.self_test_id else "",
        store_time=time_of(segment.stored_at),
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
        gain_changed=message.quality.gain_changed,
        self_test_id=names.self_tests.id(message.self_test) if message.self_test else None,
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
        rung=number_of(Rung(anomaly.rung), spectrum_pb2.Rung) if anomaly.rung else spectrum_pb2.RUNG_UNSPECIFIED,
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
        rung=optional_word(Rung, spectrum_pb2.Rung, message.rung) or "",
    )
