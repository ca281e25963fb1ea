"""Cells and where they serve."""

from collections.abc import Iterator
from typing import NamedTuple

from bandwatch.errors import NotFoundError
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1.spectrum_pb2 import Cell
from operator_console.clients.calls import Caller, call


class CellPlace(NamedTuple):
    """Where a cell serves: its middle and its reach."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float


class CellsClient(Caller):
    """Registers cells and changes what is said of them."""

    def create_cell(self, cell_id: str, *, band: str, title: str = "", place: CellPlace | None = None) -> Cell:
        """Register a cell on a band."""
        cell = Cell(title=title, band=band, **(place._asdict() if place else {}))
        return call(self._stub.CreateCell, admin.CreateCellRequest(cell_id=cell_id, cell=cell)).cell

    def list_cells(self, *, band: str = "") -> Iterator[Cell]:
        """Yield cells by name, of one band or of all."""
        request = admin.ListCellsRequest(band=band, page_size=200)
        while True:
            page = call(self._stub.ListCells, request)
            yield from page.cells
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def update_cell(self, name: str, *, title: str | None = None, place: CellPlace | None = None) -> Cell:
        """Change what is not None.

        Raises:
            NotFoundError: There is no cell of that name.
        """
        cell = next((cell for cell in self.list_cells() if cell.name == name), None)
        if cell is None:
            raise NotFoundError(f"{name} is not registered; create it first")
        if title is not None:
            cell.title = title
        if place is not None:
            cell.latitude_deg, cell.longitude_deg, cell.radius_m = place
        return call(self._stub.UpdateCell, admin.UpdateCellRequest(cell=cell)).cell
