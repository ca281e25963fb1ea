"""Events that observers report, the incidents that they make, and who is told of them."""

import enum
from datetime import datetime

from sqlalchemy import Enum, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Band, Cell, Entity, Observer


class EventKind(enum.StrEnum):
    """What the residual looks like."""

    WIDE = "wide"
    PARTIAL = "partial"
    NARROWBAND = "narrowband"
    POWER_STEP = "power_step"
    OUTAGE = "outage"


class Severity(enum.StrEnum):
    """How much an event or incident matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Place in the order from least to most severe."""
        return list(Severity).index(self)


class IncidentState(enum.StrEnum):
    """Whether somebody still sees an incident."""

    OPEN = "open"
    ENDED = "ended"


class Verdict(enum.StrEnum):
    """What an operator found out about an incident."""

    TRUE = "true"
    FALSE = "false"
    KNOWN = "known"


class DeliveryState(enum.StrEnum):
    """What became of a message to a webhook."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


def _word(kind: type[enum.StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=20, values_callable=lambda words: [word.value for word in words])


class Incident(Entity):
    """Events of one cell that belong together in time and frequency. Its figures are those of its events together."""

    __tablename__ = "incidents"

    id: Mapped[str] = mapped_column(primary_key=True)
    band_id: Mapped[str] = mapped_column(ForeignKey(Band.id))
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    state: Mapped[IncidentState] = mapped_column(_word(IncidentState), default=IncidentState.OPEN)
    low_hz: Mapped[float]
    high_hz: Mapped[float]
    start_at: Mapped[datetime]
    end_at: Mapped[datetime | None]
    kind: Mapped[EventKind] = mapped_column(_word(EventKind))
    kind_confidence: Mapped[float]
    severity: Mapped[Severity] = mapped_column(_word(Severity))
    event_count: Mapped[int] = mapped_column(default=0)
    peak_value: Mapped[float]
    muted: Mapped[bool] = mapped_column(default=False)
    self_test_id: Mapped[str | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(default="")
    verdict: Mapped[Verdict | None] = mapped_column(_word(Verdict))
    note: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "cell_id", "start_at"),
        Index(None, "created_at", "id"),
        Index("ix_incidents_open", "state", postgresql_where="state = 'open'"),
    )


class Event(Entity):
    """Anomalous windows of one observer that belong together, as the newest report of them says.

    Without an incident it waits for others to see it too, or comes from an observer that is at fault itself.
    """

    __tablename__ = "events"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    boot_id: Mapped[str]
    sequence: Mapped[int]
    incident_id: Mapped[str | None] = mapped_column(ForeignKey(Incident.id), index=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    low_hz: Mapped[float]
    high_hz: Mapped[float]
    start_at: Mapped[datetime]
    end_at: Mapped[datetime | None]
    kind: Mapped[EventKind] = mapped_column(_word(EventKind))
    kind_confidence: Mapped[float]
    severity: Mapped[Severity] = mapped_column(_word(Severity))
    windows: Mapped[int]
    anomalous_windows: Mapped[int]
    score: Mapped[str]
    peak_value: Mapped[float]
    threshold: Mapped[float]
    serial: Mapped[int]
    excess_db: Mapped[float]
    self_test_id: Mapped[str | None]
    first_reported_at: Mapped[datetime] = mapped_column(server_default=func.now())
    reported_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "cell_id", "start_at"),
        Index("ix_events_going_on", "reported_at", postgresql_where="end_at IS NULL"),
        Index("ix_events_alone", "first_reported_at", postgresql_where="incident_id IS NULL"),
    )


class Mute(Entity):
    """A part of a cell's spectrum that nobody is to be told of until a time."""

    __tablename__ = "mutes"

    id: Mapped[str] = mapped_column(primary_key=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id), index=True)
    low_hz: Mapped[float]
    high_hz: Mapped[float]
    expires_at: Mapped[datetime]
    reason: Mapped[str]


class Webhook(Entity):
    """An address that is told of incidents. The secret signs what is sent, so it is kept as it is."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    severity: Mapped[Severity | None] = mapped_column(_word(Severity))
    secret: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Delivery(Entity):
    """One message to one webhook, written in the transaction of what it tells of. The body is what is signed."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey(Webhook.id, ondelete="CASCADE"), index=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey(Incident.id))
    body: Mapped[str]
    state: Mapped[DeliveryState] = mapped_column(_word(DeliveryState), default=DeliveryState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "created_at", "id"),
        Index("ix_deliveries_due", "next_at", postgresql_where="state = 'waiting'"),
    )


class SelfTest(Entity):
    """An order to one agent to mix a known anomaly into its own stream, and when each stage was reached."""

    __tablename__ = "self_tests"

    id: Mapped[str] = mapped_column(primary_key=True)
    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), index=True)
    incident_id: Mapped[str | None] = mapped_column(ForeignKey(Incident.id))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    start_at: Mapped[datetime | None]
    event_at: Mapped[datetime | None]
    incident_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
