"""Join tokens, operators, certificates and the audit log."""

from collections.abc import Iterator
from datetime import timedelta

from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import identity_pb2 as pb
from bandwatch.wire.v1.authority_pb2 import Role
from bandwatch.wire.v1.identity_pb2 import AuditEntry, Certificate, JoinToken, Operator
from operator_console.clients.calls import Caller, call, pages


class IdentitiesClient(Caller):
    """Says who may join and who may administer, and reads who did what."""

    def create_join_token(
        self,
        role: Role.ValueType,
        *,
        member: str = "",
        cell: str = "",
        trusted: bool = False,
        lifetime: timedelta | None = None,
    ) -> tuple[JoinToken, str]:
        """Make a join token; returns it and its text, which nobody can read again."""
        request = pb.CreateJoinTokenRequest(
            join_token=JoinToken(role=role, member=member, cell=cell, trusted=trusted),
            lifetime=to_duration_message(lifetime) if lifetime else None,
        )
        answer = call(self._stub.CreateJoinToken, request)
        return answer.join_token, answer.token

    def list_join_tokens(self) -> Iterator[JoinToken]:
        """Yield join tokens, newest first."""
        return pages(self._stub.ListJoinTokens, pb.ListJoinTokensRequest(), lambda page: page.join_tokens)

    def delete_join_token(self, name: str) -> None:
        """Delete a join token."""
        call(self._stub.DeleteJoinToken, pb.DeleteJoinTokenRequest(name=name))

    def create_operator(self, operator_id: str, role: Role.ValueType) -> tuple[Operator, str]:
        """Make an operator; returns it and its token, which nobody can read again."""
        request = pb.CreateOperatorRequest(operator_id=operator_id, operator=Operator(role=role))
        answer = call(self._stub.CreateOperator, request)
        return answer.operator, answer.token

    def list_operators(self) -> Iterator[Operator]:
        """Yield operators by name."""
        return pages(self._stub.ListOperators, pb.ListOperatorsRequest(), lambda page: page.operators)

    def delete_operator(self, name: str) -> None:
        """Delete an operator."""
        call(self._stub.DeleteOperator, pb.DeleteOperatorRequest(name=name))

    def list_certificates(self, *, member: str = "") -> Iterator[Certificate]:
        """Yield certificates, newest first, of one member or of all."""
        request = pb.ListCertificatesRequest(member=member)
        return pages(self._stub.ListCertificates, request, lambda page: page.certificates)

    def revoke_worker(self, name: str) -> None:
        """Shut a worker out."""
        call(self._stub.RevokeWorker, pb.RevokeWorkerRequest(name=name))

    def list_audit_entries(
        self, *, actor: str = "", subject: str = "", refusals_only: bool = False
    ) -> Iterator[AuditEntry]:
        """Yield changes and refused calls, newest first."""
        request = pb.ListAuditEntriesRequest(actor=actor, subject=subject, refusals_only=refusals_only)
        return pages(self._stub.ListAuditEntries, request, lambda page: page.entries)
