"""A demo from beginning to end: start, learn, teach, refit, judge, measure."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from bandwatch import names
from bandwatch.errors import UnavailableError
from bandwatch.identity.join_tokens import JoinToken
from bandwatch.wire.enrollment import enroll
from bandwatch.wire.v1.model_pb2 import TRAINING_RUN_STATE_SUCCEEDED, RolloutPlan, TrainingRun
from bandwatch.wire.v1.spectrum_pb2 import PURPOSE_TRAINING, Mobility
from infra.local.options import StackOptions
from infra.local.stack import LocalStack
from operator_console.coordinator_client import AdminClient
from operator_console.demo.agents import Agent, running_agents, wait_for_all
from operator_console.demo.figures import CellFigures, Inspected, read_inspected
from operator_console.demo.measuring import STATED_FALSE_ALARM_RATE, StudentStory, measure
from operator_console.demo.plan import BandPlan, CellPlan, DemoPlan, ObserverPlan, write_timetable

UPLOAD_WITHIN_S = 300.0
ACTIVE_WITHIN_S = 120.0
JUDGE_WITHIN_S = 600.0
_LOOK_S = 0.1
_LEAST_SHARE = 0.9
"""Receivers that resample keep the last milliseconds of a stream, and segments are whole frames."""

Tell = Callable[[str, float], None]
"""Hears what a stage does at present, and the share of it that is done."""
StartStage = Callable[[str], Tell]
"""Begins a stage by its title."""


@dataclass(frozen=True)
class DemoResult:
    """Everything that a demo measured, and what its agents wrote."""

    plan: DemoPlan
    figures: tuple[CellFigures, ...]
    stage_seconds: dict[str, float]
    inspected: dict[str, Inspected]
    """By observer, of those whose cell has a student."""

    @property
    def total_s(self) -> float:
        """How long the demo took."""
        return sum(self.stage_seconds.values())


class Demo:
    """Carries out one plan in one folder."""

    def __init__(self, plan: DemoPlan, folder: Path, start_stage: StartStage) -> None:
        self._plan = plan
        self._folder = folder
        self._start_stage = start_stage
        self._seconds: dict[str, float] = {}
        self._pause = threading.Event()

    def run(self) -> DemoResult:
        """Do everything, and return what was measured.

        Raises:
            BandwatchError: A stage failed; the sentence says which and why.
        """
        plan = self._plan
        stack = LocalStack(StackOptions(self._folder / "platform", port=0))
        try:
            with self._stage("Starting the platform"):
                stack.start()
            watcher = threading.Thread(target=stack.watch, args=(self._pause,), daemon=True)
            watcher.start()
            with AdminClient(stack.address, stack.operator_token, stack.authorities) as client:
                with self._stage("Registering bands, cells and observers"):
                    self._register(client, stack)
                learning = {o.id: self._agent_settings(o, o.learning) for o in plan.observers}
                with running_agents(learning, stack.folder.logs) as agents:
                    with self._stage("Observers listen and upload") as tell:
                        self._wait_for_data(client, agents, tell)
                    teachers = {band.id: self._teach(client, band) for band in plan.bands if band.teaches}
                    stories = {
                        cell.id: self._refit(client, cell, teachers[plan.teacher_band_of(cell).id])
                        for cell in plan.cells
                        if cell.student
                    }
                with self._stage("Observers watch while anomalies are mixed in") as tell:
                    inspected = self._judge(stack, tell)
                with self._stage("Measuring") as tell:
                    figures = tuple(
                        measure(plan, cell, stories[cell.id], client, stack, self._folder, inspected)
                        for cell in plan.cells
                        if cell.student
                    )
        finally:
            self._pause.set()
            stack.stop()
        return DemoResult(plan, figures, dict(self._seconds), inspected)

    @contextmanager
    def _stage(self, title: str) -> Iterator[Tell]:
        tell = self._start_stage(title)
        began = time.monotonic()
        yield tell
        tell("done", 1.0)
        self._seconds[title] = time.monotonic() - began

    def _register(self, client: AdminClient, stack: LocalStack) -> None:
        for band in self._plan.bands:
            client.create_band(band.id, center_hz=band.center_hz, width_hz=band.width_hz, title=band.title)
        for cell in self._plan.cells:
            client.create_cell(cell.id, band=names.bands.name(cell.band_id), title=cell.title)
        for observer in self._plan.observers:
            _, token = client.create_observer(
                observer.id,
                cell=names.cells.name(observer.cell_id),
                mobility=Mobility.Value(f"MOBILITY_{observer.mobility.upper()}"),
                # Reached with what it hears while the platform learns, so that nothing that is judged later trains.
                training_target=timedelta(seconds=_LEAST_SHARE * observer.learn_s),
                trusted=True,
            )
            identity = self._folder / "observers" / observer.id / "identity"
            enroll(stack.address, JoinToken.from_text(token), names.observers.name(observer.id), identity)

    def _agent_settings(self, observer: ObserverPlan, source: dict[str, object]) -> dict[str, object]:
        return {
            "data_dir": self._folder / "observers" / observer.id,
            "mobility": observer.mobility,
            "pace": "fast",
            "false_alarm_rate": STATED_FALSE_ALARM_RATE,
            **source,
        }

    def _wait_for_data(self, client: AdminClient, agents: list[Agent], tell: Tell) -> None:
        wanted_s = sum(observer.learn_s for observer in self._plan.observers)
        deadline = time.monotonic() + UPLOAD_WITHIN_S
        while True:
            stored_s = client.segment_totals(purpose=PURPOSE_TRAINING).span.total_seconds()
            tell(f"{stored_s:.1f} of {wanted_s:.1f} s of radio stored", stored_s / wanted_s)
            if stored_s >= _LEAST_SHARE * wanted_s and self._every_observer_gave(client):
                return
            for agent in agents:
                if agent.ended:
                    raise UnavailableError(f"the agent of {agent.name} ended before its time; read its log")
            if time.monotonic() > deadline:
                raise UnavailableError(f"only {stored_s:.1f} of {wanted_s:.1f} s of radio arrived in time")
            self._pause.wait(_LOOK_S)

    def _every_observer_gave(self, client: AdminClient) -> bool:
        return all(
            client.segment_totals(observer=names.observers.name(o.id), purpose=PURPOSE_TRAINING).span.total_seconds()
            >= _LEAST_SHARE * o.learn_s
            for o in self._plan.observers
        )

    def _teach(self, client: AdminClient, band: BandPlan) -> str:
        """Build a band's teacher from the cells that have no student, else from all; return the model's name."""
        training = self._plan.training
        silent = [c.id for c in self._plan.cells if c.band_id == band.id and not c.student]
        with self._stage(f"Training the teacher of {band.id}") as tell:
            run = client.create_teacher_run(
                names.bands.name(band.id),
                cells=[names.cells.name(cell_id) for cell_id in silent],
                max_epochs=training.teacher_epochs,
                stride_frames=training.teacher_stride_frames,
                seed=training.seed,
                release_on_success=True,
                plan=RolloutPlan(at_once=True),
            )
            return _followed(client, run, tell).model

    def _refit(self, client: AdminClient, cell: CellPlan, teacher: str) -> StudentStory:
        training = self._plan.training
        with self._stage(f"Refitting a student to cell {cell.id}") as tell:
            ordered_at = time.monotonic()
            order = client.create_student_run(
                names.cells.name(cell.id),
                teachers=[teacher],
                frozen_layers=training.frozen_layers,
                max_epochs=1,
                stride_frames=training.student_stride_frames,
                seed=training.seed,
                release_on_success=True,
                plan=RolloutPlan(at_once=True),
            )
            run = _followed(client, order, tell)
            serial, remark = self._serial_for(client, cell), run.remark
            if not serial:
                serial = client.create_release(run.model, RolloutPlan(at_once=True)).serial
                remark += "; the demo released it by hand, since nothing else was there for this cell"
            tell("waiting until every observer runs what its cell is to run", 0.9)
            self._wait_until_active(client, cell, serial)
            return StudentStory(run, serial, time.monotonic() - ordered_at, remark)

    def _serial_for(self, client: AdminClient, cell: CellPlan) -> int:
        """Return the release that a cell is to run: its student's, else its band's teacher's; zero for none."""
        return next(client.list_observers(cell=names.cells.name(cell.id))).desired_serial

    def _wait_until_active(self, client: AdminClient, cell: CellPlan, serial: int) -> None:
        deadline = time.monotonic() + ACTIVE_WITHIN_S
        while True:
            observers = list(client.list_observers(cell=names.cells.name(cell.id)))
            behind = [o for o in observers if o.reported.running_serial != serial]
            if not behind:
                return
            for observer in behind:
                for refused in observer.reported.refused:
                    if refused.serial == serial:
                        raise UnavailableError(f"{observer.name} refused release {serial}: {refused.reason}")
            if time.monotonic() > deadline:
                raise UnavailableError(f"{behind[0].name} does not run release {serial} after {ACTIVE_WITHIN_S:.0f} s")
            self._pause.wait(_LOOK_S)

    def _judge(self, stack: LocalStack, tell: Tell) -> dict[str, Inspected]:
        with_student = {cell.id for cell in self._plan.cells if cell.student}
        observers = [o for o in self._plan.observers if o.cell_id in with_student]
        timetable = write_timetable(self._folder, self._plan.timetable)
        settings = {
            o.id: {
                **self._agent_settings(o, o.judging),
                "anomalies": timetable,
                "exit_at_end": True,
                "inspect": self._inspection(o),
            }
            for o in observers
        }
        with running_agents(settings, stack.folder.logs) as agents:
            for ended in wait_for_all(agents, self._pause, JUDGE_WITHIN_S):
                tell(f"{ended} of {len(agents)} observers done", ended / len(agents))
        return {observer.id: read_inspected(self._inspection(observer)) for observer in observers}

    def _inspection(self, observer: ObserverPlan) -> Path:
        return self._folder / "inspected" / observer.id


def _followed(client: AdminClient, run: TrainingRun, tell: Tell) -> TrainingRun:
    """Follow a run to its end and return it.

    Raises:
        UnavailableError: It failed.
    """
    for seen in client.watch_run(run.name, poll_s=_LOOK_S):
        run = seen
        tell(run.progress.stage or "waiting for a worker", 0.9 * run.progress.share)
    if run.state != TRAINING_RUN_STATE_SUCCEEDED:
        raise UnavailableError(f"{run.name} failed after {run.attempts} attempts: {run.last_error}")
    return run
