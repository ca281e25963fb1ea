"""AdminService: message in, service call, message out."""

from typing import Any

from bandwatch import names
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import admin_service_pb2_grpc, model_pb2, spectrum_pb2
from coordinator.jobs import Broker
from coordinator.notices import Notices
from coordinator.registry.entities import Observer, Purpose, RunState
from coordinator.registry.session import Registry
from coordinator.rpc import messages
from coordinator.rpc.edge import Context
from coordinator.services import anomalies, cells, models, observers, orders, releases, runs, segments
from coordinator.services.paging import PageRequest


def _page(request: Any) -> PageRequest:
    return PageRequest(request.page_size, request.page_token)


class AdminServicer(admin_service_pb2_grpc.AdminServiceServicer):
    """Serves operators."""

    def __init__(
        self,
        registry: Registry,
        notices: Notices,
        publisher: releases.Publisher,
        broker: Broker,
        rules: orders.DataRules,
    ) -> None:
        self._registry = registry
        self._notices = notices
        self._publisher = publisher
        self._broker = broker
        self._rules = rules

    async def CreateBand(self, request: pb.CreateBandRequest, context: Context) -> pb.CreateBandResponse:
        """Register a band."""
        async with self._registry.transaction() as session:
            band = await cells.create_band(
                session,
                band_id=request.band_id,
                title=request.band.title,
                center_hz=request.band.center_hz,
                width_hz=request.band.width_hz,
                direction=messages.link_direction(request.band),
            )
        return pb.CreateBandResponse(band=messages.band_message(band))

    async def ListBands(self, request: pb.ListBandsRequest, context: Context) -> pb.ListBandsResponse:
        """List bands."""
        async with self._registry.transaction() as session:
            page = await cells.list_bands(session, _page(request))
        return pb.ListBandsResponse(
            bands=[messages.band_message(band) for band in page.entries], next_page_token=page.next_token
        )

    async def CreateCell(self, request: pb.CreateCellRequest, context: Context) -> pb.CreateCellResponse:
        """Register a cell."""
        async with self._registry.transaction() as session:
            cell = await cells.create_cell(
                session,
                cell_id=request.cell_id,
                title=request.cell.title,
                band_id=names.bands.id(request.cell.band),
            )
        return pb.CreateCellResponse(cell=messages.cell_message(cell))

    async def ListCells(self, request: pb.ListCellsRequest, context: Context) -> pb.ListCellsResponse:
        """List cells."""
        band_id = messages.optional_id(names.bands, request.band)
        async with self._registry.transaction() as session:
            page = await cells.list_cells(session, _page(request), band_id=band_id)
        return pb.ListCellsResponse(
            cells=[messages.cell_message(cell) for cell in page.entries], next_page_token=page.next_token
        )

    async def CreateObserver(self, request: pb.CreateObserverRequest, context: Context) -> pb.CreateObserverResponse:
        """Register an observer and hand out its token."""
        async with self._registry.transaction() as session:
            observer, token = await observers.create(
                session,
                observer_id=request.observer_id,
                title=request.observer.title,
                cell_id=names.cells.id(request.observer.cell),
                mobility=messages.mobility(request.observer),
                training_target=messages.training_target(request.observer),
            )
            message = await self._observer(session, observer)
        return pb.CreateObserverResponse(observer=message, token=token)

    async def GetObserver(self, request: pb.GetObserverRequest, context: Context) -> pb.GetObserverResponse:
        """Return an observer."""
        async with self._registry.transaction() as session:
            observer = await observers.get(session, names.observers.id(request.name))
            return pb.GetObserverResponse(observer=await self._observer(session, observer))

    async def ListObservers(self, request: pb.ListObserversRequest, context: Context) -> pb.ListObserversResponse:
        """List observers."""
        cell_id = messages.optional_id(names.cells, request.cell)
        async with self._registry.transaction() as session:
            page = await observers.list_observers(session, _page(request), cell_id=cell_id)
            found = [await self._observer(session, observer) for observer in page.entries]
        return pb.ListObserversResponse(observers=found, next_page_token=page.next_token)

    async def UpdateObserver(self, request: pb.UpdateObserverRequest, context: Context) -> pb.UpdateObserverResponse:
        """Change what an observer is to be."""
        wanted = request.observer
        observer_id = names.observers.id(wanted.name)
        async with self._registry.transaction() as session:
            observer = await observers.change(
                session,
                observer_id=observer_id,
                revision=wanted.revision,
                title=wanted.title,
                cell_id=names.cells.id(wanted.cell),
                mobility=messages.mobility(wanted),
                training_target=messages.training_target(wanted),
            )
            message = await self._observer(session, observer)
        self._notices.hint([observer_id])
        return pb.UpdateObserverResponse(observer=message)

    async def _observer(self, session: Any, observer: Observer) -> pb.Observer:
        desired = await observers.desired_state(session, observer)
        return messages.observer_message(observer, desired.release.serial if desired.release else 0)

    async def ListSegments(self, request: pb.ListSegmentsRequest, context: Context) -> pb.ListSegmentsResponse:
        """List segments."""
        async with self._registry.transaction() as session:
            page, count, duration = await segments.list_segments(
                session,
                _page(request),
                cell_id=messages.optional_id(names.cells, request.cell),
                observer_id=messages.optional_id(names.observers, request.observer),
                purpose=messages.optional_word(Purpose, spectrum_pb2.Purpose, request.purpose),
            )
        return pb.ListSegmentsResponse(
            segments=[messages.segment_message(segment) for segment in page.entries],
            next_page_token=page.next_token,
            total_size=count,
            total_duration=to_duration_message(duration),
        )

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Return a model."""
        async with self._registry.transaction() as session:
            model = await models.get(session, names.models.id(request.name))
        return pb.GetModelResponse(model=messages.model_message(model))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """List models."""
        async with self._registry.transaction() as session:
            page = await models.list_models(
                session,
                _page(request),
                band_id=messages.optional_id(names.bands, request.band),
                cell_id=messages.optional_id(names.cells, request.cell),
            )
        return pb.ListModelsResponse(
            models=[messages.model_message(model) for model in page.entries], next_page_token=page.next_token
        )

    async def CreateRelease(self, request: pb.CreateReleaseRequest, context: Context) -> pb.CreateReleaseResponse:
        """Put a model in force and wake the observers that it concerns."""
        async with self._registry.transaction() as session:
            released, concerned = await releases.release(session, self._publisher, names.models.id(request.model))
        self._notices.hint(concerned)
        return pb.CreateReleaseResponse(release=messages.release_message(released))

    async def ListReleases(self, request: pb.ListReleasesRequest, context: Context) -> pb.ListReleasesResponse:
        """List releases."""
        cell_id = messages.optional_id(names.cells, request.cell)
        async with self._registry.transaction() as session:
            page = await releases.list_releases(session, _page(request), cell_id=cell_id)
        return pb.ListReleasesResponse(
            releases=[messages.release_message(release) for release in page.entries], next_page_token=page.next_token
        )

    async def CreateTrainingRun(
        self, request: pb.CreateTrainingRunRequest, context: Context
    ) -> pb.CreateTrainingRunResponse:
        """Order a run, and wake a worker once the order is committed; the scheduler does so again where that fails."""
        async with self._registry.transaction() as session:
            run = await orders.order(
                session,
                messages.run_order(request.run),
                self._rules,
                run_id=request.run_id,
                release_on_success=request.run.release_on_success,
                seed=request.run.seed,
            )
        if run.published_at is None and await self._broker.announce(names.runs.name(run.id)):
            async with self._registry.transaction() as session:
                await runs.mark_published(session, run.id)
        return pb.CreateTrainingRunResponse(run=messages.run_message(run))

    async def GetTrainingRun(self, request: pb.GetTrainingRunRequest, context: Context) -> pb.GetTrainingRunResponse:
        """Return a run."""
        async with self._registry.transaction() as session:
            run = await runs.get(session, names.runs.id(request.name))
        return pb.GetTrainingRunResponse(run=messages.run_message(run))

    async def ListTrainingRuns(
        self, request: pb.ListTrainingRunsRequest, context: Context
    ) -> pb.ListTrainingRunsResponse:
        """List runs."""
        state = messages.optional_word(RunState, model_pb2.TrainingRunState, request.state)
        async with self._registry.transaction() as session:
            page = await runs.list_runs(session, _page(request), state=state)
        return pb.ListTrainingRunsResponse(
            runs=[messages.run_message(run) for run in page.entries], next_page_token=page.next_token
        )

    async def ListAnomalies(self, request: pb.ListAnomaliesRequest, context: Context) -> pb.ListAnomaliesResponse:
        """List anomalies."""
        async with self._registry.transaction() as session:
            page, count = await anomalies.list_anomalies(
                session,
                _page(request),
                cell_id=messages.optional_id(names.cells, request.cell),
                observer_id=messages.optional_id(names.observers, request.observer),
            )
        return pb.ListAnomaliesResponse(
            anomalies=[messages.anomaly_message(anomaly) for anomaly in page.entries],
            next_page_token=page.next_token,
            total_size=count,
        )
