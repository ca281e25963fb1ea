"""The gRPC server: the contract's services, health checking and reflection behind one edge, on two ports.

One port is for whoever has no certificate yet, or never will: newcomers with a join token, operators with theirs. The
other is for members, and nobody without a certificate gets a connection there. gRPC's Python API has no port that asks
for a certificate and goes on without one.
"""

from dataclasses import dataclass

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from bandwatch.errors import FailedPreconditionError
from bandwatch.wire.channel import SERVER_OPTIONS, server_credentials
from bandwatch.wire.serving import ServerCertificate
from bandwatch.wire.v1 import (
    admin_service_pb2_grpc,
    enrollment_service_pb2_grpc,
    observer_service_pb2_grpc,
    training_service_pb2_grpc,
)
from coordinator.rpc.admin.servicer import AdminServicer
from coordinator.rpc.edge import Edge
from coordinator.rpc.enrollment import EnrollmentServicer
from coordinator.rpc.identity import SERVICES
from coordinator.rpc.observers import ObserverServicer
from coordinator.rpc.training import TrainingServicer


@dataclass(frozen=True)
class Ports:
    """Where a coordinator listens."""

    open: int
    """For newcomers and operators."""
    members: int


@dataclass(frozen=True)
class Servicers:
    """What answers the calls of each audience."""

    enrollment: EnrollmentServicer
    observers: ObserverServicer
    training: TrainingServicer
    admin: AdminServicer


class Server:
    """Listens, tells its health, and stops without breaking calls that can still end."""

    def __init__(self, edge: Edge, servicers: Servicers, certificate: ServerCertificate) -> None:
        self._server = grpc.aio.server(interceptors=[edge], options=SERVER_OPTIONS)
        self._certificate = certificate
        self._enrollment = servicers.enrollment
        self._health = health_aio.HealthServicer()
        enrollment_service_pb2_grpc.add_EnrollmentServiceServicer_to_server(servicers.enrollment, self._server)
        observer_service_pb2_grpc.add_ObserverServiceServicer_to_server(servicers.observers, self._server)
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(servicers.training, self._server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(servicers.admin, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        served = (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*served, reflection.SERVICE_NAME), self._server)

    async def start(self, address: str, member_address: str) -> Ports:
        """Listen, and return the ports.

        Raises:
            FailedPreconditionError: An address is taken.
        """
        ports = Ports(self._bind(address, members_only=False), self._bind(member_address, members_only=True))
        self._enrollment.member_port = ports.members
        await self._server.start()
        for service in ("", *SERVICES):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return ports

    def _bind(self, address: str, *, members_only: bool) -> int:
        credentials = server_credentials(self._certificate.configuration, members_only=members_only)
        try:
            return self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise FailedPreconditionError(
                f"cannot listen on {address}: another program uses it; stop that one or set another port"
            ) from error

    async def stop(self, grace_s: float) -> None:
        """Say that no more calls are wanted, let those in progress end within the grace, then close."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
