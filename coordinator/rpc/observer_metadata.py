"""The part of ObserverService that says which releases are genuine."""

from bandwatch.wire.v1 import observer_service_pb2 as pb
from coordinator.registry.session import Registry
from coordinator.rpc.edge import Context
from coordinator.services.releasing import release_metadata


class MetadataPart:
    """Hands out signed metadata."""

    _registry: Registry

    async def FetchMetadata(self, request: pb.FetchMetadataRequest, context: Context) -> pb.FetchMetadataResponse:
        """Return a file by its name."""
        async with self._registry.transaction() as session:
            return pb.FetchMetadataResponse(content=await release_metadata.read(session, request.file))
