"""Policies, trust, the gate's figures and the health of observers."""

from bandwatch import names
from bandwatch.wire.v1 import admin_service_pb2 as admin_pb
from bandwatch.wire.v1 import policy_pb2 as pb
from bandwatch.wire.v1 import spectrum_pb2
from coordinator.registry.entities import Trust
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.policies import cell_data_message, health_message, policy_message, wanted_policy
from coordinator.rpc.messages.runs import run_message
from coordinator.rpc.messages.words import optional_id, word_of
from coordinator.services import cells
from coordinator.services.detection import health
from coordinator.services.identity import trust
from coordinator.services.training import gate, policies, runs


class PoliciesDesk(Desk):
    """Says what happens by itself, and whose data it may happen with."""

    async def CreatePolicy(self, request: pb.CreatePolicyRequest, context: Context) -> pb.CreatePolicyResponse:
        """Make or replace a policy."""
        async with self._tools.registry.transaction() as session:
            policy = await policies.put(session, request.policy_id, wanted_policy(request.policy))
        return pb.CreatePolicyResponse(policy=policy_message(policy))

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Context) -> pb.ListPoliciesResponse:
        """List policies."""
        async with self._tools.registry.transaction() as session:
            page = await policies.list_policies(session, page_of(request))
        return pb.ListPoliciesResponse(
            policies=[policy_message(policy) for policy in page.entries], next_page_token=page.next_token
        )

    async def DeletePolicy(self, request: pb.DeletePolicyRequest, context: Context) -> pb.DeletePolicyResponse:
        """Delete a policy."""
        async with self._tools.registry.transaction() as session:
            await policies.delete(session, names.policies.id(request.name))
        return pb.DeletePolicyResponse()

    async def GetCellData(self, request: pb.GetCellDataRequest, context: Context) -> pb.GetCellDataResponse:
        """Sum up what is stored of a cell."""
        cell_id = names.cells.id(request.cell)
        async with self._tools.registry.transaction() as session:
            await cells.get_cell(session, cell_id)
            data = await gate.sum_up(session, [cell_id], self._tools.rules)
        return cell_data_message(data)

    async def ListObserverHealth(
        self, request: pb.ListObserverHealthRequest, context: Context
    ) -> pb.ListObserverHealthResponse:
        """List how observers compare."""
        async with self._tools.registry.transaction() as session:
            page = await health.list_health(
                session,
                page_of(request),
                cell_id=optional_id(names.cells, request.cell),
                faults_only=request.faults_only,
            )
        return pb.ListObserverHealthResponse(
            health=[health_message(found) for found in page.entries], next_page_token=page.next_token
        )

    async def SetObserverTrust(
        self, request: pb.SetObserverTrustRequest, context: Context
    ) -> pb.SetObserverTrustResponse:
        """Trust an observer's data, or put it on probation."""
        wanted = word_of(Trust, spectrum_pb2.Trust, request.trust)
        async with self._tools.registry.transaction() as session:
            await trust.set_trust(session, names.observers.id(request.name), wanted)
        return pb.SetObserverTrustResponse()

    async def RevokeObserver(self, request: pb.RevokeObserverRequest, context: Context) -> pb.RevokeObserverResponse:
        """Shut an observer out; the schedule announces the replacements."""
        async with self._tools.registry.transaction() as session:
            revoked = await trust.revoke(
                session,
                names.observers.id(request.name),
                self._tools.rules,
                replace_models=request.replace_models,
            )
        return pb.RevokeObserverResponse(
            segments=revoked.segments,
            models=[names.models.name(model_id) for model_id in revoked.model_ids],
            runs=[names.runs.name(run_id) for run_id in revoked.run_ids],
        )

    async def CancelTrainingRun(
        self, request: admin_pb.CancelTrainingRunRequest, context: Context
    ) -> admin_pb.CancelTrainingRunResponse:
        """Cancel a run."""
        async with self._tools.registry.transaction() as session:
            run = await runs.cancel(session, names.runs.id(request.name))
        return admin_pb.CancelTrainingRunResponse(run=run_message(run))
