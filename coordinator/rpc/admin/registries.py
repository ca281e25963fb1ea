"""Bands, cells, observers and what they sent."""

from typing import Any

from bandwatch import names
from bandwatch.wire.convert import to_duration_message
from bandwatch.wire.v1 import admin_service_pb2 as pb
from bandwatch.wire.v1 import spectrum_pb2
from coordinator.registry.callers import Role
from coordinator.registry.entities import Observer, Purpose
from coordinator.rpc.admin.desk import Desk, page_of
from coordinator.rpc.edge import Context
from coordinator.rpc.messages.registries import (
    band_message,
    cell_message,
    cell_place,
    link_direction,
    mobility,
    observer_message,
    training_target,
    trust,
)
from coordinator.rpc.messages.segments import anomaly_message, segment_message
from coordinator.rpc.messages.words import optional_id, optional_word
from coordinator.services import cells
from coordinator.services.detection import anomalies
from coordinator.services.fleet import observers
from coordinator.services.identity import join_tokens
from coordinator.services.training import segments


class RegistriesDesk(Desk):
    """Registers what there is, and lists what came from it."""

    async def CreateBand(self, request: pb.CreateBandRequest, context: Context) -> pb.CreateBandResponse:
        """Register a band."""
        async with self._tools.registry.transaction() as session:
            band = await cells.create_band(
                session,
                band_id=request.band_id,
                title=request.band.title,
                center_hz=request.band.center_hz,
                width_hz=request.band.width_hz,
                direction=link_direction(request.band),
            )
        return pb.CreateBandResponse(band=band_message(band))

    async def ListBands(self, request: pb.ListBandsRequest, context: Context) -> pb.ListBandsResponse:
        """List bands."""
        async with self._tools.registry.transaction() as session:
            page = await cells.list_bands(session, page_of(request))
        return pb.ListBandsResponse(
            bands=[band_message(band) for band in page.entries], next_page_token=page.next_token
        )

    async def CreateCell(self, request: pb.CreateCellRequest, context: Context) -> pb.CreateCellResponse:
        """Register a cell."""
        async with self._tools.registry.transaction() as session:
            cell = await cells.create_cell(
                session,
                cell_id=request.cell_id,
                title=request.cell.title,
                band_id=names.bands.id(request.cell.band),
                place=cell_place(request.cell),
            )
        return pb.CreateCellResponse(cell=cell_message(cell))

    async def UpdateCell(self, request: pb.UpdateCellRequest, context: Context) -> pb.UpdateCellResponse:
        """Change what is said of a cell, and wake the observers that move: it may lie on their way."""
        async with self._tools.registry.transaction() as session:
            cell = await cells.change_cell(
                session,
                cell_id=names.cells.id(request.cell.name),
                title=request.cell.title,
                band_id=names.bands.id(request.cell.band),
                place=cell_place(request.cell),
            )
            await observers.raise_revisions_of_moving(session, cell.id)
        return pb.UpdateCellResponse(cell=cell_message(cell))

    async def ListCells(self, request: pb.ListCellsRequest, context: Context) -> pb.ListCellsResponse:
        """List cells."""
        band_id = optional_id(names.bands, request.band)
        async with self._tools.registry.transaction() as session:
            page = await cells.list_cells(session, page_of(request), band_id=band_id)
        return pb.ListCellsResponse(
            cells=[cell_message(cell) for cell in page.entries], next_page_token=page.next_token
        )

    async def CreateObserver(self, request: pb.CreateObserverRequest, context: Context) -> pb.CreateObserverResponse:
        """Register an observer and hand out a join token for it."""
        async with self._tools.registry.transaction() as session:
            observer = await observers.create(
                session,
                observer_id=request.observer_id,
                title=request.observer.title,
                cell_id=names.cells.id(request.observer.cell),
                mobility=mobility(request.observer),
                training_target=training_target(request.observer),
                trust=trust(request.observer),
                upload_budget_bytes=request.observer.upload_budget_bytes,
            )
            _, token = await join_tokens.create(
                session,
                self._tools.keyring().authorities,
                Role.OBSERVER,
                member=names.observers.name(observer.id),
            )
            message = await self._observer(session, observer)
        return pb.CreateObserverResponse(observer=message, join_token=token)

    async def GetObserver(self, request: pb.GetObserverRequest, context: Context) -> pb.GetObserverResponse:
        """Return an observer."""
        async with self._tools.registry.transaction() as session:
            observer = await observers.get(session, names.observers.id(request.name))
            return pb.GetObserverResponse(observer=await self._observer(session, observer))

    async def ListObservers(self, request: pb.ListObserversRequest, context: Context) -> pb.ListObserversResponse:
        """List observers."""
        cell_id = optional_id(names.cells, request.cell)
        async with self._tools.registry.transaction() as session:
            page = await observers.list_observers(session, page_of(request), cell_id=cell_id)
            found = [await self._observer(session, observer) for observer in page.entries]
        return pb.ListObserversResponse(observers=found, next_page_token=page.next_token)

    async def UpdateObserver(self, request: pb.UpdateObserverRequest, context: Context) -> pb.UpdateObserverResponse:
        """Change what an observer is to be."""
        wanted = request.observer
        observer_id = names.observers.id(wanted.name)
        async with self._tools.registry.transaction() as session:
            observer = await observers.change(
                session,
                observer_id=observer_id,
                revision=wanted.revision,
                title=wanted.title,
                cell_id=names.cells.id(wanted.cell),
                mobility=mobility(wanted),
                training_target=training_target(wanted),
                upload_budget_bytes=wanted.upload_budget_bytes,
            )
            message = await self._observer(session, observer)
        return pb.UpdateObserverResponse(observer=message)

    async def _observer(self, session: Any, observer: Observer) -> pb.Observer:
        release = await observers.desired_release(session, observer)
        return observer_message(observer, release.serial if release else 0)

    async def ListSegments(self, request: pb.ListSegmentsRequest, context: Context) -> pb.ListSegmentsResponse:
        """List segments."""
        async with self._tools.registry.transaction() as session:
            page, count, duration = await segments.list_segments(
                session,
                page_of(request),
                cell_id=optional_id(names.cells, request.cell),
                observer_id=optional_id(names.observers, request.observer),
                purpose=optional_word(Purpose, spectrum_pb2.Purpose, request.purpose),
            )
        return pb.ListSegmentsResponse(
            segments=[segment_message(segment) for segment in page.entries],
            next_page_token=page.next_token,
            total_size=count,
            total_duration=to_duration_message(duration),
        )

    async def ListAnomalies(self, request: pb.ListAnomaliesRequest, context: Context) -> pb.ListAnomaliesResponse:
        """List anomalies."""
        async with self._tools.registry.transaction() as session:
            page, count = await anomalies.list_anomalies(
                session,
                page_of(request),
                cell_id=optional_id(names.cells, request.cell),
                observer_id=optional_id(names.observers, request.observer),
            )
        return pb.ListAnomaliesResponse(
            anomalies=[anomaly_message(anomaly) for anomaly in page.entries],
            next_page_token=page.next_token,
            total_size=count,
        )
