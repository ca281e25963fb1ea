"""Signed metadata of releases."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "release_metadata",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("role", "version", name="pk_release_metadata"),
    )
    # Of all that is signed again and again, a new root is what somebody decided.
    op.execute(
        "CREATE TRIGGER audit_roots AFTER INSERT ON release_metadata FOR EACH ROW WHEN (NEW.role = 'root') "
        "EXECUTE FUNCTION bandwatch_audit('role,version', 'content')"
    )


def downgrade() -> None:
    """Take back. Agents refuse what a later upgrade signs until its versions exceed what they have seen."""
    op.drop_table("release_metadata")
