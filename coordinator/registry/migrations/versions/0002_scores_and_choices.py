"""Anomalies by any score, remarks on runs, and models that no run made."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Until now the error was the only score."""
    op.alter_column("models", "run_id", nullable=True)
    op.add_column("training_runs", sa.Column("remark", sa.Text(), nullable=True))
    op.alter_column("anomalies", "threshold_db", new_column_name="threshold")
    # A default fills the rows that are there without rewriting them; the values take one pass over the table.
    op.add_column("anomalies", sa.Column("score", sa.Text(), nullable=False, server_default="error"))
    op.alter_column("anomalies", "score", server_default=None)
    op.add_column("anomalies", sa.Column("value", sa.Double(), nullable=True))
    op.execute("UPDATE anomalies SET value = error_db")
    op.alter_column("anomalies", "value", nullable=False)


def downgrade() -> None:
    """Take back. What another score found has no threshold in dB, so it goes. Fails while models are imported."""
    op.execute("DELETE FROM anomalies WHERE score <> 'error'")
    op.drop_column("anomalies", "value")
    op.drop_column("anomalies", "score")
    op.alter_column("anomalies", "threshold", new_column_name="threshold_db")
    op.drop_column("training_runs", "remark")
    op.alter_column("models", "run_id", nullable=False)
