"""Join tokens, operators, certificates and the audit log."""

from bandwatch import names
from bandwatch.wire.convert import to_span
from bandwatch.wire.v1 import authority_pb2
from bandwatch.wire.v1 import identity_pb2 as pb
from coordinator.registry.callers import Role
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.identities import (
    audit_entry_message,
    certificate_message,
    join_token_message,
    operator_message,
)
from coordinator.rpc.messages.words import optional_id, word_of
from coordinator.services import audit
from coordinator.services.identity import certificates, join_tokens, operators


class IdentitiesDesk(Desk):
    """Says who may join and who may administer, and shows who did what."""

    async def CreateJoinToken(self, request: pb.CreateJoinTokenRequest, context: Context) -> pb.CreateJoinTokenResponse:
        """Make a join token and show it once."""
        wanted = request.join_token
        async with self._tools.registry.transaction() as session:
            token, text = await join_tokens.create(
                session,
                self._tools.keyring().authorities,
                word_of(Role, authority_pb2.Role, wanted.role),
                member=wanted.member,
                cell_id=optional_id(names.cells, wanted.cell),
                trusted=wanted.trusted,
                lifetime=to_span(request.lifetime) if request.HasField("lifetime") else None,
            )
        return pb.CreateJoinTokenResponse(join_token=join_token_message(token), token=text)

    async def ListJoinTokens(self, request: pb.ListJoinTokensRequest, context: Context) -> pb.ListJoinTokensResponse:
        """List join tokens."""
        async with self._tools.registry.transaction() as session:
            page = await join_tokens.list_tokens(session, page_of(request))
        return pb.ListJoinTokensResponse(
            join_tokens=[join_token_message(token) for token in page.entries], next_page_token=page.next_token
        )

    async def DeleteJoinToken(self, request: pb.DeleteJoinTokenRequest, context: Context) -> pb.DeleteJoinTokenResponse:
        """Delete a join token."""
        async with self._tools.registry.transaction() as session:
            await join_tokens.remove(session, names.join_tokens.id(request.name))
        return pb.DeleteJoinTokenResponse()

    async def CreateOperator(self, request: pb.CreateOperatorRequest, context: Context) -> pb.CreateOperatorResponse:
        """Make an operator and show its token once."""
        role = word_of(Role, authority_pb2.Role, request.operator.role)
        async with self._tools.registry.transaction() as session:
            operator, token = await operators.create(session, request.operator_id, role)
        return pb.CreateOperatorResponse(operator=operator_message(operator), token=token)

    async def ListOperators(self, request: pb.ListOperatorsRequest, context: Context) -> pb.ListOperatorsResponse:
        """List operators."""
        async with self._tools.registry.transaction() as session:
            page = await operators.list_operators(session, page_of(request))
        return pb.ListOperatorsResponse(
            operators=[operator_message(operator) for operator in page.entries], next_page_token=page.next_token
        )

    async def DeleteOperator(self, request: pb.DeleteOperatorRequest, context: Context) -> pb.DeleteOperatorResponse:
        """Delete an operator."""
        async with self._tools.registry.transaction() as session:
            await operators.remove(session, names.operators.id(request.name))
        return pb.DeleteOperatorResponse()

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, context: Context
    ) -> pb.ListCertificatesResponse:
        """List certificates."""
        async with self._tools.registry.transaction() as session:
            page = await certificates.list_certificates(session, page_of(request), member=request.member)
        return pb.ListCertificatesResponse(
            certificates=[certificate_message(entry) for entry in page.entries], next_page_token=page.next_token
        )

    async def RevokeWorker(self, request: pb.RevokeWorkerRequest, context: Context) -> pb.RevokeWorkerResponse:
        """Shut a worker out."""
        async with self._tools.registry.transaction() as session:
            await certificates.revoke_worker(session, request.name)
        return pb.RevokeWorkerResponse()

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        """List the audit log."""
        async with self._tools.registry.transaction() as session:
            page = await audit.list_entries(
                session,
                page_of(request),
                actor=request.actor,
                subject=request.subject,
                refusals_only=request.refusals_only,
            )
        return pb.ListAuditEntriesResponse(
            entries=[audit_entry_message(entry) for entry in page.entries], next_page_token=page.next_token
        )
