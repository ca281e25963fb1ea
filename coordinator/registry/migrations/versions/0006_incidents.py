"""Events, incidents, mutes, webhooks and self-tests."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from coordinator.registry.audit_triggers import audited, not_audited

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AUDITED = ("mutes", "webhooks", "self_tests")


def _moment(name: str, *, now: bool = False, nullable: bool = False) -> sa.Column[Any]:
    default = sa.func.now() if now else None
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def _of(table: str, name: str, *to: str, **options: Any) -> sa.Column[Any]:
    nullable = options.pop("nullable", False)
    key = sa.ForeignKey(f"{to[0]}.id", name=f"fk_{table}_{name}", **options)
    return sa.Column(name, sa.Text(), key, nullable=nullable)


def _text(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def _word(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(20), nullable=nullable) for name in names]


def _real(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=False) for name in names]


def _whole(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]


def upgrade() -> None:
    """Apply."""
    _create_incidents()
    _create_events()
    _create_telling()
    op.create_table(
        "self_tests",
        *_text("id"),
        _of("self_tests", "observer_id", "observers"),
        _of("self_tests", "incident_id", "incidents", nullable=True),
        _moment("created_at", now=True),
        _moment("start_at", nullable=True),
        _moment("event_at", nullable=True),
        _moment("incident_at", nullable=True),
        _moment("expires_at"),
        sa.PrimaryKeyConstraint("id", name="pk_self_tests"),
    )
    op.create_index("ix_self_tests_observer_id", "self_tests", ["observer_id"])
    audited(op, "incidents", ["verdict", "note", "acknowledged_at", "acknowledged_by"])
    for table in _AUDITED:
        audited(op, table)


def _create_incidents() -> None:
    op.create_table(
        "incidents",
        *_text("id"),
        _of("incidents", "band_id", "bands"),
        _of("incidents", "cell_id", "cells"),
        *_word("state"),
        *_real("low_hz", "high_hz"),
        _moment("start_at"),
        _moment("end_at", nullable=True),
        *_word("kind"),
        *_real("kind_confidence"),
        *_word("severity"),
        *_whole("event_count"),
        *_real("peak_value"),
        sa.Column("muted", sa.Boolean(), nullable=False),
        *_text("self_test_id", nullable=True),
        _moment("acknowledged_at", nullable=True),
        *_text("acknowledged_by"),
        *_word("verdict", nullable=True),
        *_text("note"),
        _moment("created_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_incidents"),
    )
    op.create_index("ix_incidents_cell_id_start_at", "incidents", ["cell_id", "start_at"])
    op.create_index("ix_incidents_created_at_id", "incidents", ["created_at", "id"])
    op.create_index("ix_incidents_open", "incidents", ["state"], postgresql_where="state = 'open'")


def _create_events() -> None:
    op.create_table(
        "events",
        _of("events", "observer_id", "observers"),
        *_text("id", "boot_id"),
        *_whole("sequence"),
        _of("events", "incident_id", "incidents", nullable=True),
        _of("events", "cell_id", "cells"),
        *_real("low_hz", "high_hz"),
        _moment("start_at"),
        _moment("end_at", nullable=True),
        *_word("kind"),
        *_real("kind_confidence"),
        *_word("severity"),
        *_whole("windows", "anomalous_windows"),
        *_text("score"),
        *_real("peak_value", "threshold"),
        *_whole("serial"),
        *_real("excess_db"),
        *_text("self_test_id", nullable=True),
        _moment("first_reported_at", now=True),
        _moment("reported_at", now=True),
        sa.PrimaryKeyConstraint("observer_id", "id", name="pk_events"),
    )
    op.create_index("ix_events_incident_id", "events", ["incident_id"])
    op.create_index("ix_events_cell_id_start_at", "events", ["cell_id", "start_at"])
    op.create_index("ix_events_going_on", "events", ["reported_at"], postgresql_where="end_at IS NULL")
    op.create_index("ix_events_alone", "events", ["first_reported_at"], postgresql_where="incident_id IS NULL")


def _create_telling() -> None:
    op.create_table(
        "mutes",
        *_text("id"),
        _of("mutes", "cell_id", "cells"),
        *_real("low_hz", "high_hz"),
        _moment("expires_at"),
        *_text("reason"),
        sa.PrimaryKeyConstraint("id", name="pk_mutes"),
    )
    op.create_index("ix_mutes_cell_id", "mutes", ["cell_id"])
    op.create_table(
        "webhooks",
        *_text("id", "url"),
        *_word("severity", nullable=True),
        *_text("secret"),
        _moment("created_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_table(
        "deliveries",
        *_text("id"),
        _of("deliveries", "webhook_id", "webhooks", ondelete="CASCADE"),
        _of("deliveries", "incident_id", "incidents"),
        *_text("body"),
        *_word("state"),
        *_whole("attempts"),
        *_text("last_error"),
        _moment("created_at", now=True),
        _moment("next_at", now=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_webhook_id", "deliveries", ["webhook_id"])
    op.create_index("ix_deliveries_created_at_id", "deliveries", ["created_at", "id"])
    op.create_index("ix_deliveries_due", "deliveries", ["next_at"], postgresql_where="state = 'waiting'")


def downgrade() -> None:
    """Take back."""
    for table in ("incidents", *_AUDITED):
        not_audited(op, table)
    for table in ("self_tests", "deliveries", "webhooks", "mutes", "events", "incidents"):
        op.drop_table(table)
