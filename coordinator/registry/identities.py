"""Certificates, join tokens, operators, and the audit log, as rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from coordinator.registry.entities import Cell, Entity


class Certificate(Entity):
    """A certificate that was signed for an observer or a worker."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(primary_key=True)
    member: Mapped[str] = mapped_column(index=True)
    fingerprint: Mapped[str]
    authority: Mapped[str]
    """Digest of the authority that signed it."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "created_at", "serial"),)


class JoinToken(Entity):
    """A one-time permission to enrol; of its secret only a digest is kept."""

    __tablename__ = "join_tokens"

    id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    member: Mapped[str]
    cell_id: Mapped[str | None] = mapped_column(ForeignKey(Cell.id))
    trusted: Mapped[bool]
    secret_digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str | None]

    __table_args__ = (Index(None, "created_at", "id"),)


class Operator(Entity):
    """A person or program that administers the platform; of its token only a digest is kept."""

    __tablename__ = "operators"

    id: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(String(20))
    token_digest: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_call_at: Mapped[datetime | None]


class AuditEntry(Entity):
    """A change, written by a trigger of the table that changed, or a call that was refused."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    refusal: Mapped[str] = mapped_column(default="", server_default="")
    peer: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (Index(None, "actor", "id"), Index(None, "subject", "id"))
