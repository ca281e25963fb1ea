"""Certificates, join tokens, operators, and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from coordinator.registry.audit_triggers import audited, drop_audit_function, make_audit_function, not_audited

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OBSERVER = ["title", "cell_id", "mobility", "training_target", "trust", "upload_budget_bytes"]
_AUDITED: list[tuple[str, list[str] | None, tuple[str, ...]]] = [
    ("bands", None, ()),
    ("cells", None, ()),
    ("observers", _OBSERVER, ("reported",)),
    ("models", None, ("content",)),
    ("releases", ["state", "plan", "reason"], ()),
    ("training_runs", ["state"], ("progress", "stages")),
    ("operators", ["role", "token_digest"], ()),
    ("join_tokens", None, ()),
    ("certificates", None, ()),
]


def upgrade() -> None:
    """Apply. Tokens of observers are worth nothing from now on: each needs a certificate."""
    _make_tables()
    op.drop_constraint("uq_observers_token_digest", "observers")
    op.drop_column("observers", "token_digest")
    make_audit_function(op)
    for table, columns, hidden in _AUDITED:
        audited(op, table, columns, hidden=hidden)


def _make_tables() -> None:
    op.create_table(
        "certificates",
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("serial", name=op.f("pk_certificates")),
    )
    op.create_index(op.f("ix_certificates_member"), "certificates", ["member"])
    op.create_index(op.f("ix_certificates_created_at_serial"), "certificates", ["created_at", "serial"])
    op.create_table(
        "join_tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("member", sa.Text(), nullable=False),
        sa.Column("cell_id", sa.Text(), nullable=True),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("secret_digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["cell_id"], ["cells.id"], name=op.f("fk_join_tokens_cell_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join_tokens")),
        sa.UniqueConstraint("secret_digest", name=op.f("uq_join_tokens_secret_digest")),
    )
    op.create_index(op.f("ix_join_tokens_created_at_id"), "join_tokens", ["created_at", "id"])
    op.create_table(
        "operators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("token_digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("last_call_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operators")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_operators_token_digest")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("refusal", sa.Text(), server_default="", nullable=False),
        sa.Column("peer", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_actor_id"), "audit_entries", ["actor", "id"])
    op.create_index(op.f("ix_audit_entries_subject_id"), "audit_entries", ["subject", "id"])


def downgrade() -> None:
    """Take back. Observers get digests that no token has: each needs a new token."""
    for table, _, _ in _AUDITED:
        not_audited(op, table)
    drop_audit_function(op)
    op.add_column("observers", sa.Column("token_digest", sa.Text(), nullable=True))
    op.execute("UPDATE observers SET token_digest = 'none of ' || id")
    op.alter_column("observers", "token_digest", nullable=False)
    op.create_unique_constraint("uq_observers_token_digest", "observers", ["token_digest"])
    for table in ("audit_entries", "operators", "join_tokens", "certificates"):
        op.drop_table(table)
