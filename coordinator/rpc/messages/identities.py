"""Join tokens, operators, certificates and the audit log as messages."""

import json
from typing import Any

from bandwatch import names
from bandwatch.wire.v1 import authority_pb2, identity_pb2
from coordinator.registry import identities
from coordinator.registry.callers import Role
from coordinator.rpc.messages.words import number_of, time_of


def join_token_message(token: identities.JoinToken) -> identity_pb2.JoinToken:
    """Return a join token as a message, without what makes it work."""
    return identity_pb2.JoinToken(
        name=names.join_tokens.name(token.id),
        role=number_of(Role(token.role), authority_pb2.Role),
        member=token.member,
        cell=names.cells.name(token.cell_id) if token.cell_id else "",
        trusted=token.trusted,
        create_time=time_of(token.created_at),
        expire_time=time_of(token.expires_at),
        use_time=time_of(token.used_at),
        used_by=token.used_by or "",
    )


def operator_message(operator: identities.Operator) -> identity_pb2.Operator:
    """Return an operator as a message."""
    return identity_pb2.Operator(
        name=names.operators.name(operator.id),
        role=number_of(Role(operator.role), authority_pb2.Role),
        create_time=time_of(operator.created_at),
        last_call_time=time_of(operator.last_call_at),
    )


def certificate_message(certificate: identities.Certificate) -> identity_pb2.Certificate:
    """Return a certificate as a message."""
    return identity_pb2.Certificate(
        serial=certificate.serial,
        member=certificate.member,
        create_time=time_of(certificate.created_at),
        expire_time=time_of(certificate.expires_at),
        revoke_time=time_of(certificate.revoked_at),
    )


def audit_entry_message(entry: identities.AuditEntry) -> identity_pb2.AuditEntry:
    """Return an entry of the audit log as a message."""
    return identity_pb2.AuditEntry(
        id=entry.id,
        time=time_of(entry.at),
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=_json(entry.before),
        after=_json(entry.after),
        refusal=entry.refusal,
        peer=entry.peer,
    )


def _json(row: dict[str, Any] | None) -> str:
    return json.dumps(row, sort_keys=True) if row else ""
