"""Events as messages."""

from collections.abc import Sequence
from typing import Final

from bandwatch.wire import convert
from bandwatch.wire.v1 import incident_pb2 as pb
from observer_agent.spool.records import EventRecord, HeldEvent
from observer_agent.uplink.messages import origin_message

_KINDS: Final = {
    "wide": pb.EVENT_KIND_WIDE,
    "partial": pb.EVENT_KIND_PARTIAL,
    "narrowband": pb.EVENT_KIND_NARROWBAND,
    "power_step": pb.EVENT_KIND_POWER_STEP,
    "outage": pb.EVENT_KIND_OUTAGE,
}
_SEVERITIES: Final = {"low": pb.SEVERITY_LOW, "medium": pb.SEVERITY_MEDIUM, "high": pb.SEVERITY_HIGH}


def events_request(held: Sequence[HeldEvent]) -> pb.ReportEventsRequest:
    """Return reports of events as the message that delivers them."""
    return pb.ReportEventsRequest(events=[_event(one) for one in held])


def _event(held: HeldEvent) -> pb.Event:
    record = held.record
    return pb.Event(
        origin=origin_message(held.origin),
        event_id=record.event_id,
        cell=record.cell,
        box=_box(record),
        kind=_KINDS[record.kind],
        kind_confidence=record.kind_confidence,
        severity=_SEVERITIES[record.severity],
        windows=record.windows,
        anomalous_windows=record.anomalous_windows,
        score=record.score,
        peak_value=record.peak_value,
        threshold=record.threshold,
        serial=record.serial,
        excess_db=record.excess_db,
        self_test=record.self_test,
    )


def _box(record: EventRecord) -> pb.SpectrumBox:
    return pb.SpectrumBox(
        low_hz=record.low_hz,
        high_hz=record.high_hz,
        start_time=convert.to_timestamp(record.start_at),
        end_time=convert.to_timestamp(record.end_at) if record.end_at else None,
    )
