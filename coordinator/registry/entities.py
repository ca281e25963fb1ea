"""What the coordinator knows, as rows. An entity refuses transitions that are not legal."""

import enum
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Interval,
    MetaData,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bandwatch.artifacts.manifest import ModelContent

_NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class LinkDirection(enum.StrEnum):
    """Which way a band carries traffic."""

    UNSPECIFIED = "unspecified"
    DOWNLINK = "downlink"
    UPLINK = "uplink"


class Mobility(enum.StrEnum):
    """How an observer moves."""

    STATIC = "static"
    WALKING = "walking"
    DRIVING = "driving"


class Purpose(enum.StrEnum):
    """Why a segment was uploaded."""

    EVIDENCE = "evidence"
    TRAINING = "training"
    ROUTINE = "routine"


class Trust(enum.StrEnum):
    """Whether data of an observer may train."""

    TRUSTED = "trusted"
    PROBATION = "probation"
    REVOKED = "revoked"


class RunKind(enum.StrEnum):
    """What a training run makes."""

    TEACHER = "teacher"
    STUDENT = "student"


class RunState(enum.StrEnum):
    """Where a training run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ReleaseState(enum.StrEnum):
    """Where a release stands on its way into force and out of it."""

    CANDIDATE = "candidate"
    SHADOW = "shadow"
    CANARY = "canary"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"


def _text_enum(kind: type[enum.StrEnum]) -> Enum:
    """Store an enum as its word, so that a new word needs no lock on the table."""
    return Enum(kind, native_enum=False, length=20, values_callable=lambda words: [word.value for word in words])


class Entity(DeclarativeBase):
    """Root of the registry's tables."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=_NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        datetime: DateTime(timezone=True),
        timedelta: Interval,
        dict[str, Any]: JSONB,
        LinkDirection: _text_enum(LinkDirection),
        Mobility: _text_enum(Mobility),
        Purpose: _text_enum(Purpose),
        Trust: _text_enum(Trust),
        RunKind: _text_enum(RunKind),
        RunState: _text_enum(RunState),
        ReleaseState: _text_enum(ReleaseState),
    }


class Band(Entity):
    """A slice of spectrum that observers watch."""

    __tablename__ = "bands"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    center_hz: Mapped[float]
    width_hz: Mapped[float]
    direction: Mapped[LinkDirection]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Cell(Entity):
    """One LTE cell on one band."""

    __tablename__ = "cells"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    band_id: Mapped[str] = mapped_column(ForeignKey(Band.id), index=True)
    latitude_deg: Mapped[float | None]
    longitude_deg: Mapped[float | None]
    radius_m: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Observer(Entity):
    """A registered receiver and what its agent last said. `revision` rises with every change of its desired state."""

    __tablename__ = "observers"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id), index=True)
    mobility: Mapped[Mobility]
    training_target: Mapped[timedelta]
    trust: Mapped[Trust] = mapped_column(default=Trust.PROBATION)
    upload_budget_bytes: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_sync_at: Mapped[datetime | None]
    reported: Mapped[dict[str, Any] | None]


class Segment(Entity):
    """Contiguous frames of one cell from one observer; the codes are a blob."""

    __tablename__ = "segments"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    boot_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    start_at: Mapped[datetime]
    clock_error: Mapped[timedelta | None]
    frame_count: Mapped[int]
    reference_dbm: Mapped[float]
    purpose: Mapped[Purpose]
    context: Mapped[dict[str, Any]]
    clipped_share: Mapped[float]
    lost_samples: Mapped[int]
    noise_only: Mapped[bool]
    gain_db: Mapped[float | None]
    gain_changed: Mapped[bool] = mapped_column(default=False)
    self_test_id: Mapped[str | None]
    scored_by_serial: Mapped[int]
    anomalous_windows: Mapped[int]
    codes_digest: Mapped[str]
    stored_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "cell_id", "purpose", "start_at"),)


class Anomaly(Entity):
    """A window whose score exceeded its threshold."""

    __tablename__ = "anomalies"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    boot_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    window_start_at: Mapped[datetime]
    window_duration: Mapped[timedelta]
    error_db: Mapped[float]
    score: Mapped[str]
    value: Mapped[float]
    threshold: Mapped[float]
    false_alarm_rate: Mapped[float]
    model_id: Mapped[str]
    serial: Mapped[int]
    rung: Mapped[str] = mapped_column(default="")
    stored_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index(None, "cell_id", "window_start_at"),)


class TrainingRun(Entity):
    """A training job and its own outbox: `published_at` says when workers last heard of it, `fence` who owns it."""

    __tablename__ = "training_runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[RunKind]
    order: Mapped[dict[str, Any]]
    release_on_success: Mapped[bool]
    seed: Mapped[int]
    state: Mapped[RunState] = mapped_column(default=RunState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None]
    worker: Mapped[str | None]
    published_at: Mapped[datetime | None]
    progress: Mapped[dict[str, Any] | None]
    model_id: Mapped[str | None]
    last_error: Mapped[str | None]
    remark: Mapped[str | None]
    segment_count: Mapped[int]
    deadline_at: Mapped[datetime | None]
    plan: Mapped[dict[str, Any] | None]
    release_serial: Mapped[int | None]
    policy_id: Mapped[str | None]
    stages: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_training_runs_open", "state", postgresql_where="state IN ('queued', 'running')"),
        Index(None, "created_at"),
    )


class RunSegment(Entity):
    """One entry of the list of segments that a run was ordered with."""

    __tablename__ = "run_segments"

    run_id: Mapped[str] = mapped_column(ForeignKey(TrainingRun.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    observer_id: Mapped[str]
    boot_id: Mapped[str]
    sequence: Mapped[int]

    __table_args__ = (
        ForeignKeyConstraint(
            ["observer_id", "boot_id", "sequence"],
            [Segment.observer_id, Segment.boot_id, Segment.sequence],
            name="fk_run_segments_segment",
        ),
        Index(None, "observer_id", "boot_id", "sequence"),
    )


class Model(Entity):
    """An immutable trained model. One run makes one; an imported model has none."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(primary_key=True)
    band_id: Mapped[str] = mapped_column(ForeignKey(Band.id))
    cell_id: Mapped[str | None] = mapped_column(ForeignKey(Cell.id))
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("models.id"))
    run_id: Mapped[str | None] = mapped_column(ForeignKey(TrainingRun.id), unique=True)
    content: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def trained_content(self) -> ModelContent:
        """What the worker made."""
        return ModelContent.model_validate(self.content)


class Release(Entity):
    """A signed decision that a model is to run: in a cell, in a band's cells without one, or in bands without one.

    One is active for each of these, and at most one on its way there.
    """

    __tablename__ = "releases"

    serial: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey(Model.id))
    band_id: Mapped[str | None] = mapped_column(ForeignKey(Band.id))
    cell_id: Mapped[str | None] = mapped_column(ForeignKey(Cell.id))
    state: Mapped[ReleaseState]
    plan: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(default="")
    manifest_digest: Mapped[str]
    manifest_bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    state_at: Mapped[datetime] = mapped_column(server_default=func.now())
    active_at: Mapped[datetime | None]

    __table_args__ = (
        Index(
            "uq_releases_active_per_cell",
            func.coalesce(band_id, ""),
            func.coalesce(cell_id, ""),
            unique=True,
            postgresql_where="state = 'active'",
        ),
        Index(
            "uq_releases_on_the_way_per_cell",
            func.coalesce(band_id, ""),
            func.coalesce(cell_id, ""),
            unique=True,
            postgresql_where="state IN ('candidate', 'shadow', 'canary')",
        ),
        Index(None, "cell_id", "band_id"),
    )
