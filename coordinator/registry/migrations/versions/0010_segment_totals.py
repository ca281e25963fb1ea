"""Totals of segments beside the segments; the way from a segment to its runs, and from a cell to its releases."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COUNT = """
INSERT INTO segment_totals AS total (observer_id, cell_id, purpose, segments, frames)
SELECT observer_id, cell_id, purpose, {sign} count(*), {sign} sum(frame_count) FROM {rows} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (observer_id, cell_id, purpose) DO UPDATE
SET segments = total.segments + excluded.segments, frames = total.frames + excluded.frames
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "segment_totals",
        sa.Column("observer_id", sa.Text(), sa.ForeignKey("observers.id", name="fk_segment_totals_observer_id")),
        sa.Column("cell_id", sa.Text(), sa.ForeignKey("cells.id", name="fk_segment_totals_cell_id")),
        sa.Column("purpose", sa.String(20)),
        sa.Column("segments", sa.BigInteger(), nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("observer_id", "cell_id", "purpose", name="pk_segment_totals"),
    )
    # A row is written anew with every upload: room on its page keeps that from touching the indexes.
    op.execute("ALTER TABLE segment_totals SET (fillfactor = 70)")
    op.create_index("ix_segment_totals_cell_id", "segment_totals", ["cell_id"])
    op.execute("LOCK TABLE segments IN SHARE ROW EXCLUSIVE MODE")
    op.execute(_COUNT.format(sign="", rows="segments"))
    for name, change, rows, sign in (("add", "INSERT", "NEW", ""), ("take", "DELETE", "OLD", "-")):
        counted = _COUNT.format(sign=sign, rows="changed")
        op.execute(
            f"CREATE FUNCTION bandwatch_{name}_segments() RETURNS trigger LANGUAGE plpgsql AS $$ "
            f"BEGIN {counted}; RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {name}_totals AFTER {change} ON segments REFERENCING {rows} TABLE AS changed "
            f"FOR EACH STATEMENT EXECUTE FUNCTION bandwatch_{name}_segments()"
        )
    op.create_index(
        "ix_run_segments_observer_id_boot_id_sequence", "run_segments", ["observer_id", "boot_id", "sequence"]
    )
    op.create_index("ix_releases_cell_id_band_id", "releases", ["cell_id", "band_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_releases_cell_id_band_id", table_name="releases")
    op.drop_index("ix_run_segments_observer_id_boot_id_sequence", table_name="run_segments")
    for name in ("add", "take"):
        op.execute(f"DROP TRIGGER {name}_totals ON segments")
        op.execute(f"DROP FUNCTION bandwatch_{name}_segments()")
    op.drop_table("segment_totals")
