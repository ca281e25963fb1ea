"""Releases."""

from bandwatch import names
from bandwatch.wire.v1 import admin_service_pb2 as pb
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.models import figures_message, release_message
from coordinator.rpc.messages.plans import rollout_plan
from coordinator.rpc.messages.words import optional_id
from coordinator.services.releasing import releases, rollouts


class ReleasesDesk(Desk):
    """Sends models on their way into force, and takes them back."""

    async def CreateRelease(self, request: pb.CreateReleaseRequest, context: Context) -> pb.CreateReleaseResponse:
        """Sign a model, and begin its first stage."""
        plan = rollout_plan(request.plan) if request.HasField("plan") else None
        async with self._tools.registry.transaction() as session:
            changed = await rollouts.start(
                session,
                self._tools.publisher,
                names.models.id(request.model),
                plan,
                self._tools.rollouts,
                everywhere=getattr(request, "global"),  # a word of Python, too
            )
        return pb.CreateReleaseResponse(release=release_message(changed.release))

    async def GetRelease(self, request: pb.GetReleaseRequest, context: Context) -> pb.GetReleaseResponse:
        """Return a release with what observers reported of it."""
        async with self._tools.registry.transaction() as session:
            release = await releases.get(session, _serial(request.name))
            standing = await rollouts.look(session, release, self._tools.rollouts)
        message = release_message(release)
        if standing is not None:
            message.figures.CopyFrom(figures_message(standing))
        return pb.GetReleaseResponse(release=message)

    async def PromoteRelease(self, request: pb.PromoteReleaseRequest, context: Context) -> pb.PromoteReleaseResponse:
        """Put a release in force whatever its gates say."""
        async with self._tools.registry.transaction() as session:
            changed = await rollouts.promote(session, self._tools.publisher, _serial(request.name))
        return pb.PromoteReleaseResponse(release=release_message(changed.release))

    async def RollBackRelease(self, request: pb.RollBackReleaseRequest, context: Context) -> pb.RollBackReleaseResponse:
        """Take a release back, and say what serves instead."""
        async with self._tools.registry.transaction() as session:
            changed = await rollouts.roll_back(session, self._tools.publisher, _serial(request.name), request.reason)
        return pb.RollBackReleaseResponse(
            release=release_message(changed.release),
            instead=release_message(changed.instead) if changed.instead else None,
        )

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Context) -> pb.ListReleasesResponse:
        """List releases."""
        cell_id = optional_id(names.cells, request.cell)
        async with self._tools.registry.transaction() as session:
            page = await releases.list_releases(session, page_of(request), cell_id=cell_id)
        return pb.ListReleasesResponse(
            releases=[release_message(release) for release in page.entries], next_page_token=page.next_token
        )


def _serial(name: str) -> int:
    return int(names.releases.id(name))
