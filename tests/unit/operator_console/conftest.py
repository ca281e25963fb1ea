"""A coordinator that keeps what an operator registers in memory, behind real gRPC."""
# ruff: noqa: D102, N802 - the contract names and describes these methods

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import grpc
import pytest
from google.protobuf.message import Message

from bandwatch.wire.channel import AUTHORIZATION, SERVER_OPTIONS
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import admin_service_pb2_grpc, model_pb2, spectrum_pb2
from operator_console.__main__ import main
from operator_console.coordinator_client import AdminClient
from tests.unit.trusted_server import KEYRING, trusted_server_credentials

TOKEN = "operators-secret"  # noqa: S105 - of this server only
OBSERVER_TOKEN = "observers-secret"  # noqa: S105 - of this server only


@dataclass
class InMemoryAdmin(admin_service_pb2_grpc.AdminServiceServicer):
    """Answers like the coordinator, without its validation. Tests fill its lists, and read what it was asked."""

    bands: list[spectrum_pb2.Band] = field(default_factory=list)
    cells: list[spectrum_pb2.Cell] = field(default_factory=list)
    observers: list[admin.Observer] = field(default_factory=list)
    segments: list[spectrum_pb2.Segment] = field(default_factory=list)
    models: list[model_pb2.Model] = field(default_factory=list)
    releases: list[model_pb2.Release] = field(default_factory=list)
    runs: list[model_pb2.TrainingRun] = field(default_factory=list)
    anomalies: list[spectrum_pb2.Anomaly] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    on_get_run: Callable[[], None] = lambda: None
    page_limit: int = 1000

    def admit(self, request: Message, context: grpc.ServicerContext) -> None:
        """Refuse callers without the operator's token, and remember the request."""
        if dict(context.invocation_metadata()).get(AUTHORIZATION) != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "this token is not known here")
        assert context.time_remaining() is not None, "every call has a deadline"
        assert context.time_remaining() < 60
        self.asked.append(request)

    def CreateBand(self, request: admin.CreateBandRequest, context: grpc.ServicerContext) -> admin.CreateBandResponse:
        self.admit(request, context)
        name = f"bands/{request.band_id}"
        if any(band.name == name for band in self.bands):
            refuse(context, grpc.StatusCode.ALREADY_EXISTS, f"{name} exists, and it is another one")
        self.bands.append(with_name(request.band, name))
        return admin.CreateBandResponse(band=self.bands[-1])

    def ListBands(self, request: admin.ListBandsRequest, context: grpc.ServicerContext) -> admin.ListBandsResponse:
        self.admit(request, context)
        bands, token = self.page(self.bands, request)
        return admin.ListBandsResponse(bands=bands, next_page_token=token)

    def CreateCell(self, request: admin.CreateCellRequest, context: grpc.ServicerContext) -> admin.CreateCellResponse:
        self.admit(request, context)
        self.cells.append(with_name(request.cell, f"cells/{request.cell_id}"))
        return admin.CreateCellResponse(cell=self.cells[-1])

    def UpdateCell(self, request: admin.UpdateCellRequest, context: grpc.ServicerContext) -> admin.UpdateCellResponse:
        self.admit(request, context)
        named(self.cells, request.cell.name, context).CopyFrom(request.cell)
        return admin.UpdateCellResponse(cell=request.cell)

    def ListCells(self, request: admin.ListCellsRequest, context: grpc.ServicerContext) -> admin.ListCellsResponse:
        self.admit(request, context)
        cells, token = self.page([cell for cell in self.cells if request.band in ("", cell.band)], request)
        return admin.ListCellsResponse(cells=cells, next_page_token=token)

    def CreateObserver(
        self, request: admin.CreateObserverRequest, context: grpc.ServicerContext
    ) -> admin.CreateObserverResponse:
        self.admit(request, context)
        if all(cell.name != request.observer.cell for cell in self.cells):
            refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no {request.observer.cell}")
        self.observers.append(with_name(request.observer, f"observers/{request.observer_id}"))
        self.observers[-1].revision = 1
        return admin.CreateObserverResponse(observer=self.observers[-1], join_token=OBSERVER_TOKEN)

    def GetObserver(
        self, request: admin.GetObserverRequest, context: grpc.ServicerContext
    ) -> admin.GetObserverResponse:
        self.admit(request, context)
        return admin.GetObserverResponse(observer=named(self.observers, request.name, context))

    def ListObservers(
        self, request: admin.ListObserversRequest, context: grpc.ServicerContext
    ) -> admin.ListObserversResponse:
        self.admit(request, context)
        chosen = [observer for observer in self.observers if request.cell in ("", observer.cell)]
        observers, token = self.page(chosen, request)
        return admin.ListObserversResponse(observers=observers, next_page_token=token)

    def UpdateObserver(
        self, request: admin.UpdateObserverRequest, context: grpc.ServicerContext
    ) -> admin.UpdateObserverResponse:
        self.admit(request, context)
        stored = named(self.observers, request.observer.name, context)
        if stored.revision != request.observer.revision:
            refuse(context, grpc.StatusCode.ABORTED, "somebody else changed it")
        stored.CopyFrom(request.observer)
        stored.revision += 1
        return admin.UpdateObserverResponse(observer=stored)

    def ListSegments(
        self, request: admin.ListSegmentsRequest, context: grpc.ServicerContext
    ) -> admin.ListSegmentsResponse:
        self.admit(request, context)
        chosen = [
            segment
            for segment in self.segments
            if request.cell in ("", segment.cell)
            and request.observer in ("", segment.observer)
            and request.purpose in (0, segment.purpose)
        ]
        segments, token = self.page(chosen, request)
        answer = admin.ListSegmentsResponse(segments=segments, next_page_token=token, total_size=len(chosen))
        answer.total_duration.FromMicroseconds(sum(segment.frame_count for segment in chosen) * 256)
        return answer

    def GetModel(self, request: admin.GetModelRequest, context: grpc.ServicerContext) -> admin.GetModelResponse:
        self.admit(request, context)
        return admin.GetModelResponse(model=named(self.models, request.name, context))

    def ListModels(self, request: admin.ListModelsRequest, context: grpc.ServicerContext) -> admin.ListModelsResponse:
        self.admit(request, context)
        chosen = [
            model for model in self.models if request.band in ("", model.band) and request.cell in ("", model.cell)
        ]
        models, token = self.page(chosen, request)
        return admin.ListModelsResponse(models=models, next_page_token=token)

    def CreateRelease(
        self, request: admin.CreateReleaseRequest, context: grpc.ServicerContext
    ) -> admin.CreateReleaseResponse:
        self.admit(request, context)
        model = named(self.models, request.model, context)
        serial = len(self.releases) + 1
        release = model_pb2.Release(
            name=f"releases/{serial}",
            model=model.name,
            serial=serial,
            band=model.band,
            cell=model.cell,
            state=model_pb2.RELEASE_STATE_ACTIVE if request.plan.at_once else model_pb2.RELEASE_STATE_CANARY,
            plan=request.plan,
            reason="as the test wants",
            figures=model_pb2.RolloutFigures(offered=3, running=2, failed=1, windows=500, error_db=3.1),
        )
        self.releases.append(release)
        return admin.CreateReleaseResponse(release=release)

    def GetRelease(self, request: admin.GetReleaseRequest, context: grpc.ServicerContext) -> admin.GetReleaseResponse:
        self.admit(request, context)
        return admin.GetReleaseResponse(release=named(self.releases, request.name, context))

    def PromoteRelease(
        self, request: admin.PromoteReleaseRequest, context: grpc.ServicerContext
    ) -> admin.PromoteReleaseResponse:
        self.admit(request, context)
        release = named(self.releases, request.name, context)
        release.state = model_pb2.RELEASE_STATE_ACTIVE
        return admin.PromoteReleaseResponse(release=release)

    def RollBackRelease(
        self, request: admin.RollBackReleaseRequest, context: grpc.ServicerContext
    ) -> admin.RollBackReleaseResponse:
        self.admit(request, context)
        release = named(self.releases, request.name, context)
        release.state, release.reason = model_pb2.RELEASE_STATE_ROLLED_BACK, request.reason
        instead = self.releases[-2] if len(self.releases) > 1 else None
        return admin.RollBackReleaseResponse(release=release, instead=instead)

    def ListReleases(
        self, request: admin.ListReleasesRequest, context: grpc.ServicerContext
    ) -> admin.ListReleasesResponse:
        self.admit(request, context)
        chosen = [release for release in self.releases if request.cell in ("", release.cell)]
        releases, token = self.page(chosen, request)
        return admin.ListReleasesResponse(releases=releases, next_page_token=token)

    def CreateTrainingRun(
        self, request: admin.CreateTrainingRunRequest, context: grpc.ServicerContext
    ) -> admin.CreateTrainingRunResponse:
        self.admit(request, context)
        self.runs.append(with_name(request.run, f"runs/{request.run_id or len(self.runs)}"))
        self.runs[-1].state = model_pb2.TRAINING_RUN_STATE_QUEUED
        return admin.CreateTrainingRunResponse(run=self.runs[-1])

    def GetTrainingRun(
        self, request: admin.GetTrainingRunRequest, context: grpc.ServicerContext
    ) -> admin.GetTrainingRunResponse:
        self.admit(request, context)
        self.on_get_run()
        return admin.GetTrainingRunResponse(run=named(self.runs, request.name, context))

    def ListTrainingRuns(
        self, request: admin.ListTrainingRunsRequest, context: grpc.ServicerContext
    ) -> admin.ListTrainingRunsResponse:
        self.admit(request, context)
        runs, token = self.page([run for run in self.runs if request.state in (0, run.state)], request)
        return admin.ListTrainingRunsResponse(runs=runs, next_page_token=token)

    def ListAnomalies(
        self, request: admin.ListAnomaliesRequest, context: grpc.ServicerContext
    ) -> admin.ListAnomaliesResponse:
        self.admit(request, context)
        chosen = [
            anomaly
            for anomaly in self.anomalies
            if request.cell in ("", anomaly.cell) and request.observer in ("", anomaly.observer)
        ]
        anomalies, token = self.page(chosen, request)
        return admin.ListAnomaliesResponse(anomalies=anomalies, next_page_token=token, total_size=len(chosen))

    def page(self, resources: Sequence[Any], request: Any) -> tuple[Sequence[Any], str]:
        """Return the page that was asked for, and the token of the next one."""
        first = int(request.page_token or 0)
        last = first + min(request.page_size, self.page_limit)
        return resources[first:last], str(last) if last < len(resources) else ""


def refuse(context: grpc.ServicerContext, code: grpc.StatusCode, sentence: str) -> NoReturn:
    context.abort(code, sentence)


def with_name(resource: Any, name: str) -> Any:
    copy = type(resource)()
    copy.CopyFrom(resource)
    copy.name = name
    return copy


def named(resources: Sequence[Any], name: str, context: grpc.ServicerContext) -> Any:
    found = [resource for resource in resources if resource.name == name]
    if not found:
        refuse(context, grpc.StatusCode.NOT_FOUND, f"there is no {name}")
    return found[0]


@pytest.fixture
def coordinator() -> InMemoryAdmin:
    """Give the memory of the coordinator."""
    return InMemoryAdmin()  # type: ignore[abstract] # other calls find no implementation


@pytest.fixture
def address(coordinator: InMemoryAdmin) -> Iterator[str]:
    """Give the address at which the coordinator serves."""
    server = grpc.server(ThreadPoolExecutor(2), options=SERVER_OPTIONS)
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(coordinator, server)
    port = server.add_secure_port("127.0.0.1:0", trusted_server_credentials())
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def client(address: str) -> Iterator[AdminClient]:
    """Give a client of that coordinator."""
    with AdminClient(address, TOKEN, KEYRING.authorities) as opened:
        yield opened


@dataclass(frozen=True)
class Outcome:
    """What a command printed and returned."""

    code: int
    out: str
    err: str


@pytest.fixture
def bandwatch(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Give a function that runs the command `bandwatch` against that coordinator."""
    token_file = tmp_path / "operator.token"
    token_file.write_text(TOKEN + "\n")
    (tmp_path / "authorities.pem").write_bytes(KEYRING.authorities)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--coordinator", address, "--token-file", str(token_file), *arguments])
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run
