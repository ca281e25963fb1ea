"""What observers report over spans of time, and who is asked to try a release."""

from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Cell, Entity, Observer, Release, ReleaseState


class StatisticsReport(Entity):
    """What one observer saw in one cell during one span: the radio, and two releases compared window by window."""

    __tablename__ = "statistics"

    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    boot_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    cell_id: Mapped[str] = mapped_column(ForeignKey(Cell.id))
    start_at: Mapped[datetime]
    duration: Mapped[timedelta]
    end_at: Mapped[datetime]
    frames: Mapped[int]
    power_dbm: Mapped[float]
    noise_floor_dbm: Mapped[float]
    clipped_share: Mapped[float]
    lost_samples: Mapped[int]
    noise_only_share: Mapped[float]
    compared_active_serial: Mapped[int | None]
    compared_shadow_serial: Mapped[int | None]
    compared_windows: Mapped[int] = mapped_column(default=0)
    difference_sum_db: Mapped[float] = mapped_column(default=0.0)
    difference_square_sum_db2: Mapped[float] = mapped_column(default=0.0)
    stored_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        Index(None, "cell_id", "end_at"),
        Index(None, "end_at"),
        Index(
            "ix_statistics_compared_shadow_serial",
            "compared_shadow_serial",
            postgresql_where="compared_shadow_serial IS NOT NULL",
        ),
    )


class ScoreReport(Entity):
    """What one release said of the windows of a span: sums, so that they add. `shadow` ran beside the one in force."""

    __tablename__ = "statistics_scores"

    observer_id: Mapped[str] = mapped_column(primary_key=True)
    boot_id: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    serial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    shadow: Mapped[bool]
    windows: Mapped[int]
    anomalous_windows: Mapped[int]
    unscored_windows: Mapped[int]
    error_sum_db: Mapped[float]
    error_square_sum_db2: Mapped[float]
    false_alarm_rate: Mapped[float]
    scoring_duration: Mapped[timedelta]

    __table_args__ = (
        ForeignKeyConstraint(
            ["observer_id", "boot_id", "sequence"],
            [StatisticsReport.observer_id, StatisticsReport.boot_id, StatisticsReport.sequence],
            name="fk_statistics_scores_report",
            ondelete="CASCADE",
        ),
        Index(None, "serial"),
    )


class RolloutMember(Entity):
    """One observer that is asked to try a release, frozen when the stage begins, and how it answered.

    `heard_at` is its first Sync after the offer, `answered_at` when it first said that it runs or refuses the release.
    """

    __tablename__ = "rollout_members"

    serial: Mapped[int] = mapped_column(ForeignKey(Release.serial), primary_key=True, autoincrement=False)
    stage: Mapped[ReleaseState] = mapped_column(primary_key=True)
    observer_id: Mapped[str] = mapped_column(ForeignKey(Observer.id), primary_key=True)
    offered_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heard_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    running: Mapped[bool] = mapped_column(default=False)
    refusal_code: Mapped[str | None]
    refusal_reason: Mapped[str | None]

    __table_args__ = (Index(None, "observer_id"),)
