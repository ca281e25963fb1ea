"""The only file of the console that calls the coordinator."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from bandwatch.errors import UnavailableError
from bandwatch.wire.channel import open_blocking_channel, operator_credentials
from bandwatch.wire.convert import to_span
from bandwatch.wire.v1 import admin_service_pb2 as admin
from bandwatch.wire.v1 import model_pb2, spectrum_pb2
from bandwatch.wire.v1.admin_service_pb2_grpc import AdminServiceStub
from bandwatch.wire.v1.model_pb2 import Model, RolloutPlan, StudentSpec, TeacherSpec, TrainingRun, TrainingRunState
from bandwatch.wire.v1.spectrum_pb2 import Anomaly, Band, LinkDirection, Purpose, Segment
from operator_console.clients.calls import call, pages
from operator_console.clients.cells import CellsClient
from operator_console.clients.identities import IdentitiesClient
from operator_console.clients.incidents import IncidentsClient
from operator_console.clients.observers import ObserversClient
from operator_console.clients.policies import PoliciesClient
from operator_console.clients.releases import ReleasesClient

_POLL_S: Final = 1.0
_PATIENCE_S: Final = 60.0
"""How long a watch goes on while the coordinator is away, as when it restarts."""
_ENDED: Final = (
    model_pb2.TRAINING_RUN_STATE_SUCCEEDED,
    model_pb2.TRAINING_RUN_STATE_FAILED,
    model_pb2.TRAINING_RUN_STATE_CANCELLED,
)


@dataclass(frozen=True)
class SegmentTotals:
    """How much a list of segments holds, on all of its pages."""

    segments: int
    span: timedelta
    """Time that they cover."""


class AdminClient(CellsClient, IdentitiesClient, IncidentsClient, ObserversClient, PoliciesClient, ReleasesClient):
    """Administers a coordinator; names are full names such as cells/oak-street.

    Every method raises errors of `bandwatch.errors`. Lists fetch their pages while they are read.
    """

    def __init__(self, target: str, token: str, authorities: bytes) -> None:
        self._channel = open_blocking_channel(target, operator_credentials(authorities, token))
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
        return call(self._stub.CreateBand, admin.CreateBandRequest(band_id=band_id, band=band)).band

    def list_bands(self) -> Iterator[Band]:
        """Yield bands by name."""
        return pages(self._stub.ListBands, admin.ListBandsRequest(), lambda page: page.bands)

    def list_segments(
        self, *, cell: str = "", observer: str = "", purpose: Purpose.ValueType = spectrum_pb2.PURPOSE_UNSPECIFIED
    ) -> Iterator[Segment]:
        """Yield segments by observer and sequence."""
        request = admin.ListSegmentsRequest(cell=cell, observer=observer, purpose=purpose)
        return pages(self._stub.ListSegments, request, lambda page: page.segments)

    def segment_totals(
        self, *, cell: str = "", observer: str = "", purpose: Purpose.ValueType = spectrum_pb2.PURPOSE_UNSPECIFIED
    ) -> SegmentTotals:
        """Count segments, and the time that they cover, without listing them."""
        request = admin.ListSegmentsRequest(cell=cell, observer=observer, purpose=purpose, page_size=1)
        answer = call(self._stub.ListSegments, request)
        return SegmentTotals(answer.total_size, to_span(answer.total_duration))

    def get_model(self, name: str) -> Model:
        """Read a model."""
        return call(self._stub.GetModel, admin.GetModelRequest(name=name)).model

    def list_models(self, *, band: str = "", cell: str = "") -> Iterator[Model]:
        """Yield models, newest first."""
        return pages(self._stub.ListModels, admin.ListModelsRequest(band=band, cell=cell), lambda page: page.models)

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
        plan: RolloutPlan | None = None,
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
        run = TrainingRun(teacher=spec, seed=seed, release_on_success=release_on_success, plan=plan)
        return call(self._stub.CreateTrainingRun, admin.CreateTrainingRunRequest(run=run, run_id=run_id)).run

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
        plan: RolloutPlan | None = None,
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
        run = TrainingRun(student=spec, seed=seed, release_on_success=release_on_success, plan=plan)
        return call(self._stub.CreateTrainingRun, admin.CreateTrainingRunRequest(run=run, run_id=run_id)).run

    def get_run(self, name: str) -> TrainingRun:
        """Read a training run."""
        return call(self._stub.GetTrainingRun, admin.GetTrainingRunRequest(name=name)).run

    def list_runs(
        self, *, state: TrainingRunState.ValueType = model_pb2.TRAINING_RUN_STATE_UNSPECIFIED
    ) -> Iterator[TrainingRun]:
        """Yield training runs, newest first, in one state or in any."""
        return pages(self._stub.ListTrainingRuns, admin.ListTrainingRunsRequest(state=state), lambda page: page.runs)

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
        return pages(self._stub.ListAnomalies, request, lambda page: page.anomalies)

    def count_anomalies(self, *, cell: str = "", observer: str = "") -> int:
        """Count anomalies without listing them."""
        request = admin.ListAnomaliesRequest(cell=cell, observer=observer, page_size=1)
        return call(self._stub.ListAnomalies, request).total_size
