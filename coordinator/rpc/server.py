"""The gRPC server: the contract's services, health checking and reflection behind one edge."""

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from bandwatch.errors import FailedPreconditionError
from bandwatch.wire.channel import SERVER_OPTIONS, server_credentials
from bandwatch.wire.v1 import admin_service_pb2_grpc, observer_service_pb2_grpc, training_service_pb2_grpc
from coordinator.rpc.admin import AdminServicer
from coordinator.rpc.edge import Edge
from coordinator.rpc.identity import ROLE_OF_SERVICE, Doorkeeper
from coordinator.rpc.observers import ObserverServicer
from coordinator.rpc.training import TrainingServicer


class Server:
    """Listens, tells its health, and stops without breaking calls that can still end."""

    def __init__(
        self, doorkeeper: Doorkeeper, observers: ObserverServicer, training: TrainingServicer, admin: AdminServicer
    ) -> None:
        self._server = grpc.aio.server(interceptors=[Edge(doorkeeper)], options=SERVER_OPTIONS)
        self._health = health_aio.HealthServicer()
        observer_service_pb2_grpc.add_ObserverServiceServicer_to_server(observers, self._server)
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(training, self._server)
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(admin, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        served = (*ROLE_OF_SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
        reflection.enable_server_reflection((*served, reflection.SERVICE_NAME), self._server)

    async def start(self, address: str) -> int:
        """Listen, and return the port.

        Raises:
            FailedPreconditionError: The address is taken.
        """
        try:
            port = self._server.add_secure_port(address, server_credentials())
        except RuntimeError as error:
            raise FailedPreconditionError(
                f"cannot listen on {address}: another program uses it; stop that one or set another port"
            ) from error
        await self._server.start()
        for service in ("", *ROLE_OF_SERVICE):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace_s: float) -> None:
        """Say that no more calls are wanted, let those in progress end within the grace, then close."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace_s)
