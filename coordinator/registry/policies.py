"""What the schedule does by itself, what it asked observers for, and what it found out about them."""

import enum
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Enum, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Band, Cell, Entity, Observer


class HealthFinding(enum.StrEnum):
    """How an observer compares with its own past and with the others of its cell."""

    GOOD = "good"
    UNKNOWN = "unknown"
    SENSOR_FAULT = "sensor_fault"
    SPECTRUM = "spectrum"
    UNDECIDED = "undecided"


class Policy(Entity):
    """What the schedule does for the cells of a band, or for one cell. One for each of them at most."""

    __tablename__ = "policies"

    id: Mapped[str] = mapped_column(primary_key=True)
    band_id: Mapped[str | None] = mapped_column(ForeignKey(Band.id))
    cell_id: Mapped[str | None] = mapped_column(ForeignKey(Cell.id))
    enabled: Mapped[bool]
    student_data: Mapped[timedelta]
    student_lifetime: Mapped[timedelta | None]
    refit_on_drift: Mapped[bool]
    frozen_layers: Mapped[int]
    max_epochs: Mapped[int]
    stride_frames: Mapped[int]
    plan: Mapped[dict[str, Any] | None]
    remark: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("uq_policies_target", func.coalesce(band_id, ""), func.coalesce(cell_id, ""), unique=True),)


class CaptureOrder(Entity):
    """Frames that one observer is to send beyond its training target. The newest that has not expired is in force."""

    __tablename__ = "capture_orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id))
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    policy_id: Mapped[str]
    duration: Mapped[timedelta]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]

    __table_args__ = (Index(None, "observer_id", "expires_at"),)


class ObserverHealth(Entity):
    """What was last found out about an observer, and since when it is so."""

    __tablename__ = "observer_health"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id), index=True)
    finding: Mapped[HealthFinding] = mapped_column(
        Enum(HealthFinding, native_enum=False, length=20, values_callable=lambda words: [word.value for word in words])
    )
    reason: Mapped[str]
    since_at: Mapped[datetime]
