"""Trust, places of cells, plans and stages of releases and runs."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DEFAULTED: list[tuple[str, sa.Column[Any]]] = [
    # What is there already was sent by observers that an operator registered by hand.
    ("observers", sa.Column("trust", sa.String(20), nullable=False, server_default="trusted")),
    ("observers", sa.Column("upload_budget_bytes", sa.BigInteger(), nullable=False, server_default="0")),
    ("segments", sa.Column("gain_changed", sa.Boolean(), nullable=False, server_default=sa.false())),
    ("anomalies", sa.Column("rung", sa.Text(), nullable=False, server_default="")),
    ("training_runs", sa.Column("stages", postgresql.JSONB(), nullable=False, server_default="{}")),
    ("releases", sa.Column("plan", postgresql.JSONB(), nullable=False, server_default="{}")),
    ("releases", sa.Column("reason", sa.Text(), nullable=False, server_default="")),
]
_OPTIONAL: list[tuple[str, sa.Column[Any]]] = [
    ("cells", sa.Column("latitude_deg", sa.Double())),
    ("cells", sa.Column("longitude_deg", sa.Double())),
    ("cells", sa.Column("radius_m", sa.Double())),
    ("segments", sa.Column("self_test_id", sa.Text())),
    ("training_runs", sa.Column("deadline_at", sa.DateTime(timezone=True))),
    ("training_runs", sa.Column("plan", postgresql.JSONB())),
    ("training_runs", sa.Column("release_serial", sa.BigInteger())),
    ("training_runs", sa.Column("policy_id", sa.Text())),
]


def upgrade() -> None:
    """Apply. A default fills the rows that are there without rewriting them."""
    for table, column in _DEFAULTED:
        op.add_column(table, column)
        op.alter_column(table, column.name, server_default=None)
    for table, column in _OPTIONAL:
        op.add_column(table, column)
    op.add_column(
        "releases", sa.Column("state_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
    )
    op.alter_column("releases", "band_id", nullable=True)
    op.drop_index("uq_releases_active_per_cell", "releases")
    _unique("uq_releases_active_per_cell", "state = 'active'", "coalesce(band_id, '')")
    _unique("uq_releases_on_the_way_per_cell", "state IN ('candidate', 'shadow', 'canary')", "coalesce(band_id, '')")


def _unique(name: str, where: str, band: str) -> None:
    op.create_index(
        name, "releases", [sa.text(band), sa.text("coalesce(cell_id, '')")], unique=True, postgresql_where=where
    )


def downgrade() -> None:
    """Take back. Fails while there are global releases; ends releases that are on their way."""
    op.execute("UPDATE releases SET state = 'superseded' WHERE state NOT IN ('active', 'superseded')")
    op.drop_index("uq_releases_on_the_way_per_cell", "releases")
    op.drop_index("uq_releases_active_per_cell", "releases")
    op.alter_column("releases", "band_id", nullable=False)
    _unique("uq_releases_active_per_cell", "state = 'active'", "band_id")
    op.drop_column("releases", "state_at")
    for table, column in reversed(_DEFAULTED + _OPTIONAL):
        op.drop_column(table, column.name)
