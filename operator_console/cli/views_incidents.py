"""How incidents, and who is told of them, are shown to people."""

from typing import Final

from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import incident_pb2 as pb
from operator_console.cli.output import View
from operator_console.cli.texts import moment, span, word


def _box(box: pb.SpectrumBox) -> str:
    return f"{box.low_hz / 1e6:.3f} to {box.high_hz / 1e6:.3f} MHz"


def _lasted(box: pb.SpectrumBox) -> str:
    if not box.HasField("end_time"):
        return "goes on"
    return span(to_moment(box.end_time) - to_moment(box.start_time))


def _kind(of: pb.Incident) -> str:
    return f"{word(pb.EventKind, of.kind)} ({of.kind_confidence:.0%})"


def _since_order(test: pb.SelfTest, stage: str) -> str:
    if not test.HasField(stage):  # type: ignore[arg-type] # the names of the stages are those of the message
        return "not yet"
    return span(to_moment(getattr(test, stage)) - to_moment(test.create_time)) + " after the order"


INCIDENT: Final = View[pb.Incident](
    columns={
        "name": lambda incident: incident.name,
        "cell": lambda incident: incident.cell,
        "state": lambda incident: word(pb.IncidentState, incident.state),
        "severity": lambda incident: word(pb.Severity, incident.severity),
        "kind": _kind,
        "frequencies": lambda incident: _box(incident.box),
        "start": lambda incident: moment(incident.box.start_time),
        "lasted": lambda incident: _lasted(incident.box),
        "observers": lambda incident: str(len(incident.observers)),
        "verdict": lambda incident: word(pb.Verdict, incident.verdict) or ("muted" if incident.muted else "none"),
    },
    details={
        "seen by": lambda incident: "\n".join(incident.observers),
        "events": lambda incident: str(incident.event_count),
        "peak score": lambda incident: f"{incident.peak_value:.2f}",
        "acknowledged": lambda incident: " by ".join(
            filter(None, (moment(incident.acknowledge_time), incident.acknowledged_by))
        ),
        "note": lambda incident: incident.note,
        "self-test": lambda incident: incident.self_test,
        "created": lambda incident: moment(incident.create_time),
    },
)

MUTE: Final = View[pb.Mute](
    columns={
        "name": lambda mute: mute.name,
        "cell": lambda mute: mute.cell,
        "frequencies": lambda mute: f"{mute.low_hz / 1e6:.3f} to {mute.high_hz / 1e6:.3f} MHz",
        "until": lambda mute: moment(mute.expire_time),
        "reason": lambda mute: mute.reason,
    },
    details={},
)

WEBHOOK: Final = View[pb.Webhook](
    columns={
        "name": lambda webhook: webhook.name,
        "address": lambda webhook: webhook.url,
        "from severity": lambda webhook: word(pb.Severity, webhook.severity) or "any",
        "created": lambda webhook: moment(webhook.create_time),
    },
    details={},
)

DELIVERY: Final = View[pb.Delivery](
    columns={
        "name": lambda delivery: delivery.name,
        "webhook": lambda delivery: delivery.webhook,
        "incident": lambda delivery: delivery.incident,
        "state": lambda delivery: word(pb.DeliveryState, delivery.state),
        "attempts": lambda delivery: str(delivery.attempts),
        "last error": lambda delivery: delivery.last_error,
        "next": lambda delivery: moment(delivery.next_time),
        "created": lambda delivery: moment(delivery.create_time),
    },
    details={},
)

SELF_TEST: Final = View[pb.SelfTest](
    columns={
        "name": lambda test: test.name,
        "observer": lambda test: test.observer,
        "ordered": lambda test: moment(test.create_time),
        "anomaly began": lambda test: _since_order(test, "start_time"),
        "event reported": lambda test: _since_order(test, "event_time"),
        "incident made": lambda test: _since_order(test, "incident_time"),
        "incident": lambda test: test.incident,
        "expires": lambda test: moment(test.expire_time),
    },
    details={},
)
