"""Events, incidents and who is told of them, as messages and back."""

from collections.abc import Sequence

from bandwatch import names
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import incident_pb2, spectrum_pb2
from coordinator.registry import incidents as entities
from coordinator.registry.incidents import DeliveryState, EventKind, IncidentState, Severity, Verdict
from coordinator.rpc.messages.words import number_of, optional_id, time_of, word_of
from coordinator.services.detection.events import NewEvent


def new_event(message: incident_pb2.Event, observer_id: str) -> NewEvent:
    """Return an event as the service takes it, from a message that keeps the contract."""
    box = message.box
    return NewEvent(
        observer_id=observer_id,
        id=message.event_id,
        boot_id=message.origin.boot_id,
        sequence=message.origin.sequence,
        cell_id=names.cells.id(message.cell),
        low_hz=box.low_hz,
        high_hz=box.high_hz,
        start_at=to_moment(box.start_time),
        end_at=to_moment(box.end_time) if box.HasField("end_time") else None,
        kind=word_of(EventKind, incident_pb2.EventKind, message.kind),
        kind_confidence=message.kind_confidence,
        severity=word_of(Severity, incident_pb2.Severity, message.severity),
        windows=message.windows,
        anomalous_windows=message.anomalous_windows,
        score=message.score,
        peak_value=message.peak_value,
        threshold=message.threshold,
        serial=message.serial,
        excess_db=message.excess_db,
        self_test_id=optional_id(names.self_tests, message.self_test),
    )


def event_message(event: entities.Event) -> incident_pb2.Event:
    """Return the newest report of an event as a message."""
    return incident_pb2.Event(
        origin=spectrum_pb2.Origin(boot_id=event.boot_id, sequence=event.sequence),
        event_id=event.id,
        observer=names.observers.name(event.observer_id),
        cell=names.cells.name(event.cell_id),
        box=_box(event),
        kind=number_of(event.kind, incident_pb2.EventKind),
        kind_confidence=event.kind_confidence,
        severity=number_of(event.severity, incident_pb2.Severity),
        windows=event.windows,
        anomalous_windows=event.anomalous_windows,
        score=event.score,
        peak_value=event.peak_value,
        threshold=event.threshold,
        serial=event.serial,
        excess_db=event.excess_db,
        self_test=_test(event.self_test_id),
    )


def incident_message(incident: entities.Incident, observer_ids: Sequence[str]) -> incident_pb2.Incident:
    """Return an incident as a message, with who saw it."""
    message = incident_pb2.Incident(
        name=names.incidents.name(incident.id),
        band=names.bands.name(incident.band_id),
        cell=names.cells.name(incident.cell_id),
        state=number_of(IncidentState(incident.state), incident_pb2.IncidentState),
        box=_box(incident),
        kind=number_of(EventKind(incident.kind), incident_pb2.EventKind),
        kind_confidence=incident.kind_confidence,
        severity=number_of(Severity(incident.severity), incident_pb2.Severity),
        observers=[names.observers.name(observer_id) for observer_id in observer_ids],
        event_count=incident.event_count,
        peak_value=incident.peak_value,
        create_time=time_of(incident.created_at),
        acknowledge_time=time_of(incident.acknowledged_at),
        acknowledged_by=incident.acknowledged_by,
        note=incident.note,
        muted=incident.muted,
        self_test=_test(incident.self_test_id),
    )
    if incident.verdict is not None:
        message.verdict = number_of(Verdict(incident.verdict), incident_pb2.Verdict)
    return message


def mute_message(mute: entities.Mute) -> incident_pb2.Mute:
    """Return a mute as a message."""
    return incident_pb2.Mute(
        name=names.mutes.name(mute.id),
        cell=names.cells.name(mute.cell_id),
        low_hz=mute.low_hz,
        high_hz=mute.high_hz,
        expire_time=time_of(mute.expires_at),
        reason=mute.reason,
    )


def webhook_message(webhook: entities.Webhook) -> incident_pb2.Webhook:
    """Return a webhook as a message, without its secret."""
    message = incident_pb2.Webhook(
        name=names.webhooks.name(webhook.id), url=webhook.url, create_time=time_of(webhook.created_at)
    )
    if webhook.severity is not None:
        message.severity = number_of(Severity(webhook.severity), incident_pb2.Severity)
    return message


def delivery_message(delivery: entities.Delivery) -> incident_pb2.Delivery:
    """Return a message to a webhook as a message of the contract."""
    return incident_pb2.Delivery(
        name=names.deliveries.name(delivery.id),
        webhook=names.webhooks.name(delivery.webhook_id),
        incident=names.incidents.name(delivery.incident_id),
        state=number_of(DeliveryState(delivery.state), incident_pb2.DeliveryState),
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        create_time=time_of(delivery.created_at),
        next_time=time_of(delivery.next_at) if delivery.state is DeliveryState.WAITING else None,
    )


def self_test_message(test: entities.SelfTest) -> incident_pb2.SelfTest:
    """Return a self-test as a message."""
    return incident_pb2.SelfTest(
        name=names.self_tests.name(test.id),
        observer=names.observers.name(test.observer_id),
        create_time=time_of(test.created_at),
        event_time=time_of(test.event_at),
        incident_time=time_of(test.incident_at),
        incident=names.incidents.name(test.incident_id) if test.incident_id else "",
        start_time=time_of(test.start_at),
        expire_time=time_of(test.expires_at),
    )


def _box(of: entities.Event | entities.Incident) -> incident_pb2.SpectrumBox:
    return incident_pb2.SpectrumBox(
        low_hz=of.low_hz, high_hz=of.high_hz, start_time=time_of(of.start_at), end_time=time_of(of.end_at)
    )


def _test(self_test_id: str | None) -> str:
    return names.self_tests.name(self_test_id) if self_test_id else ""
