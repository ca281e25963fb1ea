"""Every coordinator hears which observers are to be something else, whoever changed it."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.execute(
        """
        CREATE FUNCTION bandwatch_tell_revision() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('bandwatch_revisions', NEW.id);
            RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        "CREATE TRIGGER tell_revision AFTER UPDATE ON observers FOR EACH ROW "
        "WHEN (OLD.revision IS DISTINCT FROM NEW.revision) EXECUTE FUNCTION bandwatch_tell_revision()"
    )


def downgrade() -> None:
    """Take back."""
    op.execute("DROP TRIGGER tell_revision ON observers")
    op.execute("DROP FUNCTION bandwatch_tell_revision()")
