"""The radio side: blocks in; segments and anomalies into the spool. Runs in a thread of its own."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from bandwatch.errors import InvalidArgumentError
from bandwatch.lte.anomalies.timetable import AnomalyMixer
from observer_agent.agent.event_keeping import EventKeeper
from observer_agent.agent.keeping import Keeper
from observer_agent.agent.navigation import Navigator
from observer_agent.agent.self_testing import SelfTesting
from observer_agent.detection.detector import DetectionOptions
from observer_agent.detection.inspection import Inspection
from observer_agent.detection.model import ScoringModel
from observer_agent.detection.pipeline import Pipeline
from observer_agent.detection.segmenter import Segmenter
from observer_agent.detection.statistics import StatisticsMaker
from observer_agent.models.desired import DesiredState
from observer_agent.models.store import is_meant_for
from observer_agent.places.place_finder import Place
from observer_agent.receivers.blocks import Block, Receiver
from observer_agent.receivers.clock import SampleClock
from observer_agent.receivers.pacing import paced
from observer_agent.settings import AgentSettings

_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class Setup:
    """What the radio side works for: a cell, and the model in force, if any. Switched as a whole, between blocks.

    `shadow` is the model that runs beside the one in force, is reported on, and flags nothing.
    """

    desired: DesiredState
    model: ScoringModel | None
    shadow: ScoringModel | None = None

    def __post_init__(self) -> None:
        for model in (self.model, self.shadow):
            if model is not None and not is_meant_for(model.manifest, self.desired):
                raise AssertionError(f"{model.name} was about to judge in {self.desired.cell}")


@dataclass(frozen=True)
class Plan:
    """What the radio side works for in each cell that it may be in, and where these serve. Replaced as a whole."""

    home: str
    setups: Mapping[str, Setup]
    places: Mapping[str, Place]


@dataclass
class Counts:
    """What the radio side did since the agent started."""

    windows_scored: int = 0
    anomalies_found: int = 0
    lost_samples: int = 0


class Listener:
    """Listens to one receiver until it ends or is told to stop. Set `plan` before `run`, and whenever it changes."""

    def __init__(
        self,
        receiver: Receiver,
        keeper: Keeper,
        settings: AgentSettings,
        *,
        mixer: AnomalyMixer | None = None,
        inspection: Inspection | None = None,
        navigator: Navigator | None = None,
    ) -> None:
        self.plan: Plan | None = None
        self.counts = Counts()
        self.fault = ""
        self._receiver = receiver
        self._keeper = keeper
        self._settings = settings
        self._mixer = mixer
        self._inspection = inspection
        self._navigator = navigator
        self._stop = threading.Event()
        self._clock = SampleClock(receiver.sample_rate_hz)
        self._segmenter = Segmenter(self._clock)
        self._statistics = StatisticsMaker(self._clock, settings.statistics_span_s)
        self._pipeline: Pipeline | None = None
        self._desired: DesiredState | None = None
        self._frames = 0
        self._events = EventKeeper(keeper, self._clock, settings)
        self._self_testing = SelfTesting(receiver)

    def stop(self) -> None:
        """Make `run` return soon; what was begun is kept first."""
        self._stop.set()

    def run(self) -> None:
        """Listen until the source ends or `stop` is called.

        Raises:
            UnavailableError: The source broke.
        """
        try:
            for block in self._blocks():
                if self.plan is not None:
                    self._follow(block, self.plan)
        finally:
            self._leave()
            self._keeper.keep_statistics(self._statistics.close())
            if self._inspection is not None:
                self._inspection.close()

    def _blocks(self) -> Iterator[Block]:
        blocks = self._receiver.blocks(self._stop)
        if self._settings.pace == "fast":
            return blocks
        return paced(blocks, self._receiver.sample_rate_hz, self._stop)

    def _follow(self, block: Block, plan: Plan) -> None:
        """Take a block for the cell that the observer is in as it begins."""
        cell: str | None = plan.home
        if self._navigator is not None:
            stream_s = block.first_sample / self._receiver.sample_rate_hz
            cell = self._navigator.locate(stream_s, plan.home, plan.setups.keys(), plan.places)
            self._keeper.locate(self._navigator.fix)
        setup = None if cell is None else plan.setups.get(cell)
        if setup is not None:
            self._take(block, setup)
        else:
            self._watch_nothing(block)

    def _watch_nothing(self, block: Block) -> None:
        """Let a block pass: no model that is here may judge where the observer is."""
        self.counts.lost_samples += block.lost_samples
        if self._desired is not None:
            self._leave()
            self._pipeline, self._desired = None, None
            self.fault = (
                "the observer is in no cell that it knows: register the cells there with their place and radius"
            )
            _log.warning("nothing is watched until the observer comes to a cell that it knows")
        self._clock.arrived(block.end_sample, datetime.now(UTC), discontinuity=block.discontinuity)

    def _take(self, block: Block, setup: Setup) -> None:
        self.counts.lost_samples += block.lost_samples
        if block.discontinuity:
            self._close_segment()
            if self._pipeline is not None:
                self._pipeline.restart()
        if self._desired is None or _place(self._desired) != _place(setup.desired):
            self._tune(setup.desired)
        self._desired = setup.desired
        self._clock.arrived(block.end_sample, datetime.now(UTC), discontinuity=block.discontinuity)
        if self._pipeline is not None:
            self._process(self._pipeline, block, setup)

    def _tune(self, desired: DesiredState) -> None:
        """Begin afresh on another cell or band."""
        self._leave()
        self._pipeline = None
        try:
            self._pipeline = Pipeline(
                self._receiver,
                desired.spectrum,
                DetectionOptions(
                    stride_frames=self._settings.stride_frames,
                    false_alarm_rate=self._settings.false_alarm_rate,
                    score=self._settings.score,
                    threshold_method=self._settings.threshold_method,
                ),
                first_frame=self._frames,
                mixer=self._mixer,
            )
        except InvalidArgumentError as error:
            self.fault = f"{desired.band} cannot be watched with {self._receiver.description}: {error.message}"
            _log.error("nothing is watched until the receiver or the band changes", fault=self.fault)
        else:
            self.fault = ""
            _log.info("watching", cell=desired.cell, band=desired.band, source=self._receiver.description)

    def _process(self, pipeline: Pipeline, block: Block, setup: Setup) -> None:
        if setup.model is not None and not self._events.goes_on:
            self._self_testing.begin_if_due(pipeline, setup.desired, block, datetime.now(UTC))
        batch = pipeline.push(block, setup.model, setup.shadow)
        if not batch.self_test:
            spans = self._statistics.push(batch, setup.desired.cell, lost_samples=block.lost_samples)
            self._keeper.keep_statistics(spans)
        self._frames = pipeline.frames
        if self._inspection is not None:
            self._inspection.write(batch)
        if batch.windows is not None and not batch.self_test:
            self.counts.windows_scored += len(batch.windows.error_db)
            self.counts.anomalies_found += self._keeper.report(batch, setup.desired.cell, self._clock)
        has_turn = self._events.push(batch, setup.desired)
        self._keeper.keep(self._segmenter.push(batch, has_turn=has_turn), setup.desired)

    def _leave(self) -> None:
        """Finish with a cell: what was begun in it is kept."""
        self._close_segment()
        if self._desired is not None:
            self._events.close(self._desired)
            self._keeper.keep_rest(self._desired)

    def _close_segment(self) -> None:
        segments = self._segmenter.close()
        if self._desired is not None:
            self._keeper.keep(segments, self._desired)


def _place(desired: DesiredState) -> tuple[str, str, float, float]:
    return desired.cell, desired.band, desired.center_hz, desired.width_hz
