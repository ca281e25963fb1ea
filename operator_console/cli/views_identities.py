"""How join tokens, operators, certificates and the audit log are shown to people."""

from typing import Final

from bandwatch.wire.v1.authority_pb2 import Role
from bandwatch.wire.v1.identity_pb2 import AuditEntry, Certificate, JoinToken, Operator
from operator_console.cli.output import View
from operator_console.cli.texts import moment, word

JOIN_TOKEN: Final = View[JoinToken](
    columns={
        "name": lambda token: token.name,
        "role": lambda token: word(Role, token.role),
        "for": lambda token: token.member or "any free name",
        "cell": lambda token: token.cell,
        "good until": lambda token: moment(token.expire_time),
        "used": lambda token: f"{moment(token.use_time)} by {token.used_by}" if token.used_by else "no",
    },
    details={
        "trusted": lambda token: "yes" if token.trusted else "no",
        "created": lambda token: moment(token.create_time),
    },
)

OPERATOR: Final = View[Operator](
    columns={
        "name": lambda operator: operator.name,
        "role": lambda operator: word(Role, operator.role),
        "last call": lambda operator: moment(operator.last_call_time) or "never",
        "created": lambda operator: moment(operator.create_time),
    },
    details={},
)

CERTIFICATE: Final = View[Certificate](
    columns={
        "member": lambda certificate: certificate.member,
        "serial": lambda certificate: certificate.serial,
        "created": lambda certificate: moment(certificate.create_time),
        "good until": lambda certificate: moment(certificate.expire_time),
        "revoked": lambda certificate: moment(certificate.revoke_time) or "no",
    },
    details={},
)

AUDIT_ENTRY: Final = View[AuditEntry](
    columns={
        "time": lambda entry: moment(entry.time),
        "actor": lambda entry: entry.actor,
        "action": lambda entry: entry.action,
        "subject": lambda entry: entry.subject or entry.peer,
        "refused": lambda entry: entry.refusal,
        "before": lambda entry: entry.before,
        "after": lambda entry: entry.after,
    },
    details={},
)
