"""Policies, trust in observers, and what runs by itself."""

from collections.abc import Iterator

from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import policy_pb2
from bandwatch.wire.v1.model_pb2 import TrainingRun
from bandwatch.wire.v1.policy_pb2 import GetCellDataResponse, ObserverHealth, Policy, RevokeObserverResponse
from bandwatch.wire.v1.spectrum_pb2 import Trust
from operator_console.clients.calls import Caller, call, pages


class PoliciesClient(Caller):
    """Says what happens by itself, and with whose data."""

    def create_policy(self, policy_id: str, policy: Policy) -> Policy:
        """Make or replace a policy."""
        request = policy_pb2.CreatePolicyRequest(policy_id=policy_id, policy=policy)
        return call(self._stub.CreatePolicy, request).policy

    def list_policies(self) -> Iterator[Policy]:
        """Yield policies by name."""
        return pages(self._stub.ListPolicies, policy_pb2.ListPoliciesRequest(), lambda page: page.policies)

    def delete_policy(self, name: str) -> None:
        """Delete a policy."""
        call(self._stub.DeletePolicy, policy_pb2.DeletePolicyRequest(name=name))

    def get_cell_data(self, cell: str) -> GetCellDataResponse:
        """Sum up what is stored of a cell, what of it may train, and why the rest may not."""
        return call(self._stub.GetCellData, policy_pb2.GetCellDataRequest(cell=cell))

    def list_observer_health(self, *, cell: str = "", faults_only: bool = False) -> Iterator[ObserverHealth]:
        """Yield how observers compare with the others of their cell."""
        request = policy_pb2.ListObserverHealthRequest(cell=cell, faults_only=faults_only)
        return pages(self._stub.ListObserverHealth, request, lambda page: page.health)

    def set_observer_trust(self, name: str, trust: Trust.ValueType) -> None:
        """Say whether data of an observer may train."""
        call(self._stub.SetObserverTrust, policy_pb2.SetObserverTrustRequest(name=name, trust=trust))

    def revoke_observer(self, name: str, *, replace_models: bool = False) -> RevokeObserverResponse:
        """Shut an observer out for good."""
        request = policy_pb2.RevokeObserverRequest(name=name, replace_models=replace_models)
        return call(self._stub.RevokeObserver, request)

    def cancel_run(self, name: str) -> TrainingRun:
        """End a training run before it is done."""
        return call(self._stub.CancelTrainingRun, admin.CancelTrainingRunRequest(name=name)).run
