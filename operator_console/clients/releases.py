"""Releases, and how they come into force."""

from collections.abc import Iterator

from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1.model_pb2 import Release, RolloutPlan
from operator_console.clients.calls import Caller, call, pages


class ReleasesClient(Caller):
    """Sends models on their way into force, and takes them back."""

    def create_release(self, model: str, plan: RolloutPlan | None = None, *, everywhere: bool = False) -> Release:
        """Sign a model and send it on its way: by the plan, else by the coordinator's usual one."""
        request = admin.CreateReleaseRequest(model=model, plan=plan, **{"global": everywhere})
        return call(self._stub.CreateRelease, request).release

    def get_release(self, name: str) -> Release:
        """Read a release with what observers reported of it."""
        return call(self._stub.GetRelease, admin.GetReleaseRequest(name=name)).release

    def list_releases(self, *, cell: str = "") -> Iterator[Release]:
        """Yield releases, newest first."""
        return pages(self._stub.ListReleases, admin.ListReleasesRequest(cell=cell), lambda page: page.releases)

    def promote_release(self, name: str) -> Release:
        """Put a release in force whatever its gates say."""
        return call(self._stub.PromoteRelease, admin.PromoteReleaseRequest(name=name)).release

    def roll_back_release(self, name: str, reason: str = "") -> tuple[Release, Release | None]:
        """Take a release back, and return it with the one that serves instead, where there is one."""
        answer = call(self._stub.RollBackRelease, admin.RollBackReleaseRequest(name=name, reason=reason))
        return answer.release, answer.instead if answer.HasField("instead") else None
