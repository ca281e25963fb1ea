"""AdminService as a whole: its desks together."""

from bandwatch.wire.v1 import admin_service_pb2_grpc
from coordinator.rpc.admin.identities import IdentitiesDesk
from coordinator.rpc.admin.incidents import IncidentsDesk
from coordinator.rpc.admin.models import ModelsDesk
from coordinator.rpc.admin.policies import PoliciesDesk
from coordinator.rpc.admin.registries import RegistriesDesk
from coordinator.rpc.admin.releases import ReleasesDesk


class AdminServicer(
    IdentitiesDesk,
    IncidentsDesk,
    PoliciesDesk,
    RegistriesDesk,
    ModelsDesk,
    ReleasesDesk,
    admin_service_pb2_grpc.AdminServiceServicer,
):
    """Serves operators."""
