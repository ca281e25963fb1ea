"""The only file of the console that calls the coordinator."""

import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from bandwatch.errors import UnavailableError
from bandwatch.wire.channel import CALL_DEADLINE_S, open_blocking_channel
from bandwatch.wire.convert import to_duration_message, to_span
from bandwatch.wire.status import bandwatch_errors
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import model_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2 import Observer
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from bandwatch.wire.v1.model_pb2 import Model, Release, StudentSpec, TeacherSpec, TrainingRun, TrainingRunState
from bandwatch.wire.v1.spectrum_pb2 import Anomaly, Band, Cell, LinkDirection, Mobility, Purpose, Segment

_PAGE_SIZE: Final = 200
_POLL_S: Final = 1.0
_PATIENCE_S: Final = 60.0
"""How long a watch goes on while the coordinator is away, as when it restarts."""
_ENDED: Final = (model_pb2.TRAINING_RUN_STATE_SUCCEEDED, model_pb2.TRAINING_RUN_STATE_FAILED)


class _PageRequest(Protocol):
    page_size: int
    page_token: str


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


_Request_contra = TypeVar("_Request_contra", contravariant=True)
_Answer_co = TypeVar("_Answer_co", covariant=True)
_PageRequestType = TypeVar("_PageRequestType", bound=_PageRequest)
_PageType = TypeVar("_PageType", bound=_Page)
_Resource = TypeVar("_Resource")


class _Call(Protocol[_Request_contra, _Answer_co]):
    def __call__(self, request: _Request_contra, timeout: float | None = None) -> _Answer_co: ...


@dataclass(frozen=True)
class SegmentTotals:
    """How much a list of segments holds, on all of its pages."""

    segments: int
    span: timedelta
    """Time that they cover."""


class AdminClient:
    """Administers a coordinator; names are full names such as cells/oak-street.

    Every method raises errors of `bandwatch.errors`. Lists fetch their pages while they are read.
    """

    def __init__(self, target: str, token: str) -> None:
        self._channel = open_blocking_channel(target, token)
        self._stub = AdminServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def create_band(
        self,
        band_id: str,
        *,
        center_hz: float,
        width_hz: float,
        title: str = "",
        direction: LinkDirection.ValueType = spectrum_pb2.LINK_DIRECTION_DOWNLINK,
    ) -> Band:
        """Register a band."""
        band = Band(title=title, center_hz=center_hz, width_hz=width_hz, direction=direction)
        return _call(self._stub.CreateBand, admin.CreateBandRequest(band_id=band_id, band=band)).band

    def list_bands(self) -> Iterator[Band]:
        """Yield bands by name."""
        return _pages(self._stub.ListBands, admin.ListBandsRequest(), lambda page: page.bands)

    def create_cell(self, cell_id: str, *, band: str, title: str = "") -> Cell:
        """Register a cell on a band."""
        request = admin.CreateCellRequest(cell_id=cell_id, cell=Cell(title=title, band=band))
        return _call(self._stub.CreateCell, request).cell

    def list_cells(self, *, band: str = "") -> Iterator[Cell]:
        """Yield cells by name, of one band or of all."""
        return _pages(self._stub.ListCells, admin.ListCellsRequest(band=band), lambda page: page.cells)

    def create_observer(
        self,
        observer_id: str,
        *,
        cell: str,
        mobility: Mobility.ValueType,
        title: str = "",
        training_target: timedelta | None = None,
    ) -> tuple[Observer, str]:
        """Register an observer; returns it and its token, which nobody can read again."""
        observer = Observer(title=title, cell=cell, mobility=mobility)
        if training_target is not None:
            observer.training_target.CopyFrom(to_duration_message(training_target))
        answer = _call(
            self._stub.CreateObserver, admin.CreateObserverRequest(observer_id=observer_id, observer=observer)
        )
        return answer.observer, answer.token

    def get_observer(self, name: str) -> Observer:
        """Read an observer with its desired and reported state."""
        return _call(self._stub.GetObserver, admin.GetObserverRequest(name=name)).observer

    def list_observers(self, *, cell: str = "") -> Iterator[Observer]:
        """Yield observers by name, of one cell or of all."""
        return _pages(self._stub.ListObservers, admin.ListObserversRequest(cell=cell), lambda page: page.observers)

    def update_observer(
        self,
        name: str,
        *,
        cell: str | None = None,
        mobility: Mobility.ValueType | None = None,
        title: str | None = None,
        training_target: timedelta | None = None,
    ) -> Observer:
        """Change what is not None.

        Raises:
            ConflictError: Somebody else changed the observer at the same moment.
        """
        observer = self.get_observer(name)
        if cell is not None:
            observer.cell = cell
        if mobility is not None:
            observer.mobility = mobility
        if title is not None:
            observer.title = title
        if training_target is not None:
            observer.training_target.CopyFrom(to_duration_message(training_target))
        return _call(self._stub.UpdateObserver, admin.UpdateObserverRequest(observer=observer)).observer

    def list_segments(
        self, *, cell: str = "", observer: str = "", purpose: Purpose.ValueType = spectrum_pb2.PURPOSE_UNSPECIFIED
    ) -> Iterator[Segment]:
        """Yield segments by observer and sequence."""
        request = admin.ListSegmentsRequest(cell=cell, observer=observer, purpose=purpose)
        return _pages(self._stub.ListSegments, request, lambda page: page.segments)

    def segment_totals(
        self, *, cell: str = "", observer: str = "", purpose: Purpose.ValueType = spectrum_pb2.PURPOSE_UNSPECIFIED
    ) -> SegmentTotals:
        """Count segments, and the time that they cover, without listing them."""
        request = admin.ListSegmentsRequest(cell=cell, observer=observer, purpose=purpose, page_size=1)
        answer = _call(self._stub.ListSegments, request)
        return SegmentTotals(answer.total_size, to_span(answer.total_duration))

    def get_model(self, name: str) -> Model:
        """Read a model."""
        return _call(self._stub.GetModel, admin.GetModelRequest(name=name)).model

    def list_models(self, *, band: str = "", cell: str = "") -> Iterator[Model]:
        """Yield models, newest first."""
        return _pages(self._stub.ListModels, admin.ListModelsRequest(band=band, cell=cell), lambda page: page.models)

    def create_release(self, model: str) -> Release:
        """Sign a model and make it the active one of its cell or band."""
        return _call(self._stub.CreateRelease, admin.CreateReleaseRequest(model=model)).release

    def list_releases(self, *, cell: str = "") -> Iterator[Release]:
        """Yield releases, newest first."""
        return _pages(self._stub.ListReleases, admin.ListReleasesRequest(cell=cell), lambda page: page.releases)

    def create_teacher_run(
        self,
        band: str,
        *,
        cells: Sequence[str] = (),
        family: str = "",
        layers: int = 0,
        max_epochs: int,
        stride_frames: int,
        seed: int = 0,
        release_on_success: bool = False,
        run_id: str = "",
    ) -> TrainingRun:
        """Order a teacher for a band. Ordering again with the same run_id returns the same run."""
        spec = TeacherSpec(
            band=band,
            cells=cells,
            family=family,
            layers=layers,
            max_epochs=max_epochs,
            stride_frames=stride_frames,
        )
        run = TrainingRun(teacher=spec, seed=seed, release_on_success=release_on_success)
        return _call(self._stub.CreateTrainingRun, admin.CreateTrainingRunRequest(run=run, run_id=run_id)).run

    def create_student_run(
        self,
        cell: str,
        *,
        teachers: Sequence[str] = (),
        families: Sequence[str] = (),
        frozen_layers: int,
        max_epochs: int,
        stride_frames: int,
        seed: int = 0,
        release_on_success: bool = False,
        run_id: str = "",
    ) -> TrainingRun:
        """Order a student for a cell, from the best of these teachers, else of all models in force elsewhere.

        Ordering again with the same run_id returns the same run.
        """
        spec = StudentSpec(
            cell=cell,
            teachers=teachers,
            families=families,
            frozen_layers=frozen_layers,
            max_epochs=max_epochs,
            stride_frames=stride_frames,
        )
        run = TrainingRun(student=spec, seed=seed, release_on_success=release_on_success)
        return _call(self._stub.CreateTrainingRun, admin.CreateTrainingRunRequest(run=run, run_id=run_id)).run

    def get_run(self, name: str) -> TrainingRun:
        """Read a training run."""
        return _call(self._stub.GetTrainingRun, admin.GetTrainingRunRequest(name=name)).run

    def list_runs(
        self, *, state: TrainingRunState.ValueType = model_pb2.TRAINING_RUN_STATE_UNSPECIFIED
    ) -> Iterator[TrainingRun]:
        """Yield training runs, newest first, in one state or in any."""
        return _pages(self._stub.ListTrainingRuns, admin.ListTrainingRunsRequest(state=state), lambda page: page.runs)

    def watch_run(self, name: str, poll_s: float = _POLL_S) -> Iterator[TrainingRun]:
        """Yield a training run now and after each change, until it has succeeded or failed.

        Raises:
            UnavailableError: The coordinator was away for a minute.
        """
        run = self.get_run(name)
        yield run
        pause, misses = threading.Event(), 0
        while run.state not in _ENDED:
            pause.wait(poll_s)
            try:
                seen = self.get_run(name)
            except UnavailableError:
                misses += 1
                if misses * poll_s > _PATIENCE_S:
                    raise
                continue
            misses = 0
            if seen != run:
                run = seen
                yield run

    def list_anomalies(self, *, cell: str = "", observer: str = "") -> Iterator[Anomaly]:
        """Yield anomalies, newest window first."""
        request = admin.ListAnomaliesRequest(cell=cell, observer=observer)
        return _pages(self._stub.ListAnomalies, request, lambda page: page.anomalies)

    def count_anomalies(self, *, cell: str = "", observer: str = "") -> int:
        """Count anomalies without listing them."""
        request = admin.ListAnomaliesRequest(cell=cell, observer=observer, page_size=1)
        return _call(self._stub.ListAnomalies, request).total_size


def _call(call: _Call[_Request_contra, _Answer_co], request: _Request_contra) -> _Answer_co:
    with bandwatch_errors():
        return call(request, timeout=CALL_DEADLINE_S)


def _pages(
    call: _Call[_PageRequestType, _PageType],
    first: _PageRequestType,
    resources: Callable[[_PageType], Iterable[_Resource]],
) -> Iterator[_Resource]:
    request = copy.deepcopy(first)
    request.page_size = _PAGE_SIZE
    while True:
        page = _call(call, request)
        yield from resources(page)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
