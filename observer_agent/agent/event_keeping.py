"""Events of the radio side into the spool: their frames as moments, their bins as frequencies."""

from datetime import datetime
from typing import Final

from bandwatch.spectrogram.bands import FRAME_BINS
from observer_agent.agent.keeping import Keeper
from observer_agent.detection.events import EventRules, EventTracker, Sighting
from observer_agent.detection.pipeline import FrameBatch
from observer_agent.models.desired import DesiredState
from observer_agent.receivers.clock import SampleClock
from observer_agent.settings import AgentSettings
from observer_agent.spool.records import EventRecord

_LARGEST_EXCESS_DB: Final = 1000.0


class EventKeeper:
    """Follows the events of one cell and keeps every news of them."""

    def __init__(self, keeper: Keeper, clock: SampleClock, settings: AgentSettings) -> None:
        self._keeper = keeper
        self._clock = clock
        self._rules = EventRules(settings.event_windows, settings.event_raise_at, settings.event_clear_at)
        self._tracker = EventTracker(self._rules)
        self._self_test = ""
        self._started_at: dict[str, datetime] = {}

    @property
    def goes_on(self) -> bool:
        """Whether an event goes on."""
        return self._tracker.goes_on

    def push(self, batch: FrameBatch, desired: DesiredState) -> bool:
        """Follow a batch, and tell whether an event began or ended in it."""
        if batch.self_test != self._self_test:
            self._keep(self._tracker.close(), desired)  # what is real is raised anew, and never counts as a test
            self._self_test = batch.self_test
        before = self._tracker.goes_on
        news = self._tracker.push(batch)
        self._keep(news, desired)
        return before != self._tracker.goes_on or any(sighting.ended for sighting in news)

    def close(self, desired: DesiredState) -> None:
        """End what goes on, since the cell is left or the source has ended, and begin afresh."""
        self._keep(self._tracker.close(), desired)
        self._tracker, self._self_test = EventTracker(self._rules), ""

    def _keep(self, news: list[Sighting], desired: DesiredState) -> None:
        self._keeper.keep_events([self._record(sighting, desired) for sighting in news])

    def _record(self, sighting: Sighting, desired: DesiredState) -> EventRecord:
        shape = sighting.shape
        low_hz, high_hz = _edges_hz(desired, shape.first_bin, shape.last_bin)
        start_at, stop_at = self._start_of(sighting), self._moment(sighting, sighting.stop_frame)
        return EventRecord(
            event_id=sighting.event_id,
            cell=desired.cell,
            low_hz=low_hz,
            high_hz=high_hz,
            start_at=start_at,
            end_at=max(start_at, stop_at) if sighting.ended else None,  # the clock may have been set back meanwhile
            kind=shape.kind,
            kind_confidence=shape.confidence,
            severity=sighting.severity,
            windows=sighting.windows,
            anomalous_windows=sighting.anomalous_windows,
            score=sighting.score,
            peak_value=sighting.peak_value,
            threshold=sighting.threshold,
            serial=sighting.serial,
            excess_db=max(-_LARGEST_EXCESS_DB, min(_LARGEST_EXCESS_DB, shape.excess_db)),
            self_test=self._self_test,
        )

    def _start_of(self, sighting: Sighting) -> datetime:
        """Return when an event began, the same moment in every report of it, wherever the clock has moved since."""
        started_at = self._started_at.setdefault(sighting.event_id, self._moment(sighting, sighting.first_frame))
        if sighting.ended:
            del self._started_at[sighting.event_id]
        return started_at

    def _moment(self, sighting: Sighting, frame: int) -> datetime:
        return self._clock.moment_of(sighting.run.sample_of(frame))


def _edges_hz(desired: DesiredState, first_bin: int, last_bin: int) -> tuple[float, float]:
    """Return the frequencies between which bins lie, inside of the band; bin 64 is centred on the band's centre."""
    bin_hz = desired.width_hz / FRAME_BINS
    low = max(first_bin - FRAME_BINS / 2 - 0.5, -FRAME_BINS / 2)
    high = min(last_bin - FRAME_BINS / 2 + 0.5, FRAME_BINS / 2)
    return desired.center_hz + low * bin_hz, desired.center_hz + high * bin_hz
