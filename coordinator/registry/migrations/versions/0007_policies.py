"""Policies, captures and the health of observers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from coordinator.registry.audit_triggers import audited

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_NOW = sa.func.now()


def _moment(name: str, *, default: bool = False) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW if default else None)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "policies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("band_id", sa.Text(), sa.ForeignKey("bands.id", name="fk_policies_band_id")),
        sa.Column("cell_id", sa.Text(), sa.ForeignKey("cells.id", name="fk_policies_cell_id")),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("student_data", sa.Interval(), nullable=False),
        sa.Column("student_lifetime", sa.Interval()),
        sa.Column("refit_on_drift", sa.Boolean(), nullable=False),
        sa.Column("frozen_layers", sa.BigInteger(), nullable=False),
        sa.Column("max_epochs", sa.BigInteger(), nullable=False),
        sa.Column("stride_frames", sa.BigInteger(), nullable=False),
        sa.Column("plan", postgresql.JSONB()),
        sa.Column("remark", sa.Text(), nullable=False),
        _moment("created_at", default=True),
        sa.PrimaryKeyConstraint("id", name="pk_policies"),
    )
    target = [sa.text("coalesce(band_id, '')"), sa.text("coalesce(cell_id, '')")]
    op.create_index("uq_policies_target", "policies", target, unique=True)
    op.create_table(
        "capture_orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "observer_id",
            sa.Text(),
            sa.ForeignKey("observers.id", name="fk_capture_orders_observer_id"),
            nullable=False,
        ),
        sa.Column("cell_id", sa.Text(), sa.ForeignKey("cells.id", name="fk_capture_orders_cell_id"), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("duration", sa.Interval(), nullable=False),
        _moment("created_at", default=True),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_capture_orders"),
    )
    op.create_index("ix_capture_orders_observer_id_expires_at", "capture_orders", ["observer_id", "expires_at"])
    op.create_table(
        "observer_health",
        sa.Column(
            "observer_id",
            sa.Text(),
            sa.ForeignKey("observers.id", name="fk_observer_health_observer_id"),
            nullable=False,
        ),
        sa.Column("cell_id", sa.Text(), sa.ForeignKey("cells.id", name="fk_observer_health_cell_id"), nullable=False),
        sa.Column("finding", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _moment("since_at"),
        sa.PrimaryKeyConstraint("observer_id", name="pk_observer_health"),
    )
    op.create_index("ix_observer_health_cell_id", "observer_health", ["cell_id"])
    said_by_the_schedule = "remark"
    columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns("policies")]
    audited(op, "policies", [column for column in columns if column != said_by_the_schedule])


def downgrade() -> None:
    """Take back."""
    for table in ("observer_health", "capture_orders", "policies"):
        op.drop_table(table)
