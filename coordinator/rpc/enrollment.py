"""EnrollmentService: message in, service call, message out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from bandwatch.identity.certificates import write_bundle
from bandwatch.identity.keyring import Keyring
from bandwatch.wire.v1 import enrollment_service_pb2 as pb
from bandwatch.wire.v1 import enrollment_service_pb2_grpc
from coordinator.registry.callers import current_caller
from coordinator.registry.session import Registry
from coordinator.rpc.edge import Context
from coordinator.services.identity import certificates
from coordinator.services.identity.enrollments import Newcomer, enroll
from coordinator.services.releasing import release_metadata


@dataclass(frozen=True)
class Membership:
    """What a new member is given."""

    keyring: Callable[[], Keyring]
    lifetime: timedelta
    """Of its certificate."""


class EnrollmentServicer(enrollment_service_pb2_grpc.EnrollmentServiceServicer):
    """Serves newcomers, through `front`, and members that renew."""

    def __init__(self, registry: Registry, front: Registry, membership: Membership) -> None:
        self._registry = registry
        self._front = front
        self._membership = membership
        self.member_port = 0
        """Where members are served; known once the server has its ports."""

    async def Enroll(self, request: pb.EnrollRequest, context: Context) -> pb.EnrollResponse:
        """Sign a newcomer's first certificate."""
        newcomer = Newcomer(request.name, request.join_secret, request.certificate_request)
        keyring = self._membership.keyring()
        current_caller.set(replace(current_caller.get(), name=request.name))  # what it changes, it changes as itself
        async with self._front.transaction() as session:
            certificate = await enroll(session, keyring, newcomer, self._membership.lifetime)
            root = await release_metadata.current_root(session)
        return pb.EnrollResponse(
            certificate=write_bundle([certificate]),
            authorities=keyring.authorities,
            release_root=root.content,
            member_port=self.member_port,
        )

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Context
    ) -> pb.RenewCertificateResponse:
        """Sign another certificate for the caller."""
        keyring, caller = self._membership.keyring(), current_caller.get()
        async with self._registry.transaction() as session:
            certificate = await certificates.renew(
                session,
                keyring,
                caller.name,
                request.certificate_request,
                self._membership.lifetime,
                serial=caller.key,
            )
        return pb.RenewCertificateResponse(certificate=write_bundle([certificate]), authorities=keyring.authorities)
