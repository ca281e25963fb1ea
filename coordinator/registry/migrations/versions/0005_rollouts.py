"""Statistics of observers and rollouts of releases."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.func.now()


def _whole(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _real(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Double(), nullable=False)


def _moment(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    """Apply."""
    op.add_column("releases", sa.Column("active_at", sa.DateTime(timezone=True)))
    # Whatever was released before there were stages was in force at once.
    op.execute("UPDATE releases SET active_at = created_at")
    op.create_table(
        "statistics",
        sa.Column("observer_id", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        _whole("sequence"),
        sa.Column("cell_id", sa.Text(), nullable=False),
        _moment("start_at"),
        sa.Column("duration", sa.Interval(), nullable=False),
        _moment("end_at"),
        _whole("frames"),
        _real("power_dbm"),
        _real("noise_floor_dbm"),
        _real("clipped_share"),
        _whole("lost_samples"),
        _real("noise_only_share"),
        sa.Column("compared_active_serial", sa.BigInteger()),
        sa.Column("compared_shadow_serial", sa.BigInteger()),
        _whole("compared_windows"),
        _real("difference_sum_db"),
        _real("difference_square_sum_db2"),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.PrimaryKeyConstraint("observer_id", "boot_id", "sequence", name="pk_statistics"),
        sa.ForeignKeyConstraint(["observer_id"], ["observers.id"], name="fk_statistics_observer_id"),
        sa.ForeignKeyConstraint(["cell_id"], ["cells.id"], name="fk_statistics_cell_id"),
    )
    op.create_index("ix_statistics_cell_id_end_at", "statistics", ["cell_id", "end_at"])
    op.create_index("ix_statistics_end_at", "statistics", ["end_at"])
    op.create_index(
        "ix_statistics_compared_shadow_serial",
        "statistics",
        ["compared_shadow_serial"],
        postgresql_where="compared_shadow_serial IS NOT NULL",
    )
    _create_scores()
    _create_members()


def _create_scores() -> None:
    op.create_table(
        "statistics_scores",
        sa.Column("observer_id", sa.Text(), nullable=False),
        sa.Column("boot_id", sa.Text(), nullable=False),
        _whole("sequence"),
        _whole("serial"),
        sa.Column("shadow", sa.Boolean(), nullable=False),
        _whole("windows"),
        _whole("anomalous_windows"),
        _whole("unscored_windows"),
        _real("error_sum_db"),
        _real("error_square_sum_db2"),
        _real("false_alarm_rate"),
        sa.Column("scoring_duration", sa.Interval(), nullable=False),
        sa.PrimaryKeyConstraint("observer_id", "boot_id", "sequence", "serial", name="pk_statistics_scores"),
        sa.ForeignKeyConstraint(
            ["observer_id", "boot_id", "sequence"],
            ["statistics.observer_id", "statistics.boot_id", "statistics.sequence"],
            name="fk_statistics_scores_report",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_statistics_scores_serial", "statistics_scores", ["serial"])


def _create_members() -> None:
    op.create_table(
        "rollout_members",
        _whole("serial"),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("observer_id", sa.Text(), nullable=False),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False, server_default=_NOW),
        sa.Column("heard_at", sa.DateTime(timezone=True)),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("running", sa.Boolean(), nullable=False),
        sa.Column("refusal_code", sa.Text()),
        sa.Column("refusal_reason", sa.Text()),
        sa.PrimaryKeyConstraint("serial", "stage", "observer_id", name="pk_rollout_members"),
        sa.ForeignKeyConstraint(["serial"], ["releases.serial"], name="fk_rollout_members_serial"),
        sa.ForeignKeyConstraint(["observer_id"], ["observers.id"], name="fk_rollout_members_observer_id"),
    )
    op.create_index("ix_rollout_members_observer_id", "rollout_members", ["observer_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("rollout_members")
    op.drop_table("statistics_scores")
    op.drop_table("statistics")
    op.drop_column("releases", "active_at")
