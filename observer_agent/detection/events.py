"""Anomalous windows that belong together, as events: raised by m of n windows, cleared with hysteresis."""

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS, INPUT_FRAMES, TARGET_FRAMES, WINDOW_FRAMES
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.event_shapes import (
    Evidence,
    Map,
    SeverityWord,
    Shape,
    severity_of,
    shape_of,
    window_maps,
)
from observer_agent.detection.normal_maps import NormalMaps, common_parts
from observer_agent.detection.pipeline import FrameBatch, Run

ONSET_WINDOWS: Final = 5
"""Windows in a row whose residual shows the most of an event: those in which it began."""
_WORST_BINS: Final = 12
_BEGINNING_SHARE: Final = 0.5
"""How far the first windows are off, at least, against those that are off the most."""
_LOOKED_BACK: Final = 2
"""How often as many windows as raise an event are looked at for its beginning, which may have raised no flag."""
_FIRST_REPORT_S: Final = 1.0
_LONGEST_SILENCE_S: Final = 60.0


@dataclass(frozen=True)
class EventRules:
    """An event is raised by `raise_at` anomalous windows of the last `windows`, and over at `clear_at` of them."""

    windows: int = 16
    raise_at: int = 8
    clear_at: int = 2


@dataclass(frozen=True)
class Sighting:
    """What is known of an event at one moment.

    `first_frame` is the first target frame of its first anomalous window, `stop_frame` the one after the last; both
    count from the start of the stream. `ended` tells that it is over.
    """

    event_id: str
    first_frame: int
    stop_frame: int
    run: Run
    ended: bool
    shape: Shape
    severity: SeverityWord
    windows: int
    anomalous_windows: int
    score: str
    peak_value: float
    threshold: float
    serial: int


class Debounce:
    """Turns the flags of windows, in order, into whether an event goes on."""

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._latest: deque[bool] = deque(maxlen=rules.windows)
        self.goes_on = False

    def push(self, *, anomalous: bool) -> bool:
        """Take the next window, and tell whether an event goes on after it."""
        self._latest.append(anomalous)
        count = sum(self._latest)
        self.goes_on = count > self._rules.clear_at if self.goes_on else count >= self._rules.raise_at
        return self.goes_on

    def restart(self) -> None:
        """Forget everything, as at a gap."""
        self._latest.clear()
        self.goes_on = False


@dataclass(frozen=True)
class _Window:
    first_frame: int
    anomalous: bool
    value: float
    residual: Map
    level: Map


@dataclass
class _Open:
    """An event that goes on: its sums over anomalous windows, and its first windows as they were."""

    event_id: str
    run: Run
    score: str
    threshold: float
    serial: int
    onset: list[Map]
    windows: int = 0
    anomalous_windows: int = 0
    first_frame: int = 0
    stop_frame: int = 0
    peak_value: float = -np.inf
    residual_sum: Map = field(default_factory=lambda: np.zeros(FRAME_BINS))
    level_sum: Map = field(default_factory=lambda: np.zeros(FRAME_BINS))
    common_sum: Map = field(default_factory=lambda: np.zeros(2))
    report_s: float = _FIRST_REPORT_S
    reported_frame: int = 0

    def take(self, window: _Window) -> None:
        """Add a window; those that are not anomalous only count."""
        self.windows += 1
        if not np.isfinite(window.residual).all():
            return  # the model failed on it
        if not window.anomalous:
            return
        if not self.anomalous_windows:
            self.first_frame = window.first_frame + INPUT_FRAMES
        self.anomalous_windows += 1
        self.stop_frame = window.first_frame + WINDOW_FRAMES
        self.peak_value = max(self.peak_value, window.value)
        self.residual_sum += window.residual
        self.level_sum += window.level
        self.common_sum += common_parts(window.residual[np.newaxis])[0]

    def evidence(self) -> Evidence:
        """Return its maps."""
        common, uneven = (self.common_sum / self.anomalous_windows).tolist()
        return Evidence(
            onset=np.mean(self.onset, axis=0),
            onset_windows=len(self.onset),
            residual=self.residual_sum / self.anomalous_windows,
            level=self.level_sum / self.anomalous_windows,
            common=common,
            uneven=uneven,
        )


class EventTracker:
    """Finds the events of one stream, one at a time: what is seen at once, at whatever frequencies, is one event.

    Push every batch, scored or not. Windows of a self-test are followed like others, and teach nothing about what is
    normal.
    """

    def __init__(self, rules: EventRules) -> None:
        self._rules = rules
        self._debounce = Debounce(rules)
        self._latest: deque[_Window] = deque(maxlen=_LOOKED_BACK * rules.windows)
        self._normal = NormalMaps()
        self._model = ""
        self._open: _Open | None = None
        self._run: Run | None = None
        self._tail: NDArray[np.uint8] = np.empty((0, FRAME_BINS), np.uint8)

    @property
    def goes_on(self) -> bool:
        """Whether an event goes on."""
        return self._open is not None

    def push(self, batch: FrameBatch) -> list[Sighting]:
        """Take a batch, and return what is news of events: raised, still there after a while, or ended."""
        news = self.close() if batch.run != self._run else []
        self._run = batch.run
        frames = np.concatenate((self._tail, batch.codes))
        first_frame = batch.first_frame - len(self._tail)
        self._tail = frames[-(WINDOW_FRAMES - 1) :]
        if batch.windows is None:
            return news
        if batch.windows.model != self._model:
            news += self.close()
            self._normal, self._model = NormalMaps(), batch.windows.model
            self._tail = frames[-(WINDOW_FRAMES - 1) :]
        return news + self._follow(batch, frames, first_frame)

    def close(self) -> list[Sighting]:
        """End the event that goes on, if any, as at a gap or where the stream ends, and forget the windows before."""
        news = [self._ended(self._open)] if self._open is not None else []
        self._open = None
        self._debounce.restart()
        self._latest.clear()
        self._tail = self._tail[:0]
        return news

    def _follow(self, batch: FrameBatch, frames: NDArray[np.uint8], first_frame: int) -> list[Sighting]:
        windows = batch.windows
        if windows is None:
            return []
        starts = windows.first_frames - first_frame + INPUT_FRAMES
        measured = np.stack([frames[start : start + TARGET_FRAMES] for start in starts])
        residual, level = window_maps(measured, windows.predicted)
        before = self._open is not None
        news = []
        for row, anomalous in enumerate(windows.anomalous.tolist()):
            place = int(windows.first_frames[row])
            value = float(windows.values[row])
            news += self._step(_Window(place, anomalous, value, residual[row], level[row]), windows, batch.run)
        if not (before or self._open is not None or batch.self_test or windows.anomalous.any()):
            sound = np.isfinite(residual).all(axis=1)
            self._normal.hear(residual[sound], level[sound])
        return news

    def _step(self, window: _Window, windows: ScoredWindows, run: Run) -> list[Sighting]:
        self._latest.append(window)
        goes_on = self._debounce.push(anomalous=window.anomalous)
        if self._open is None:
            return [self._raised(windows, run)] if goes_on else []
        self._open.take(window)
        if not goes_on:
            ended, self._open = self._ended(self._open), None
            return [ended]
        since_s = (window.first_frame - self._open.reported_frame) * FRAME_SECONDS
        if since_s < self._open.report_s:
            return []
        self._open.report_s = min(2 * self._open.report_s, _LONGEST_SILENCE_S)
        self._open.reported_frame = window.first_frame
        return [self._seen(self._open, ended=False)]

    def _raised(self, windows: ScoredWindows, run: Run) -> Sighting:
        """Begin an event with its first anomalous window among those that raised it."""
        latest = list(self._latest)
        oldest = len(latest) - self._rules.windows
        first = next(index for index, window in enumerate(latest) if index >= oldest and window.anomalous)
        onset = self._onset_of([window.residual for window in latest])
        begun = _Open(secrets.token_hex(16), run, windows.score, windows.threshold, windows.serial, onset)
        for window in latest[first:]:
            begun.take(window)
        begun.reported_frame = latest[-1].first_frame
        self._open = begun
        return self._seen(begun, ended=False)

    def _onset_of(self, residuals: list[Map]) -> list[Map]:
        """Return the residuals of the first windows in a row that are off about as much as any."""
        sound = [residual for residual in residuals if np.isfinite(residual).all()]
        normal = self._normal.normal(sound[0])
        squares = np.square((np.stack(sound) - normal.residual) / normal.residual_deviation)
        off = np.sort(squares, axis=1)[:, -_WORST_BINS:].mean(axis=1)  # a narrow signal is in few bins
        runs = np.convolve(off, np.ones(min(ONSET_WINDOWS, len(off))), mode="valid")
        start = int((runs >= _BEGINNING_SHARE * runs.max()).argmax())
        return sound[start : start + ONSET_WINDOWS]

    def _ended(self, event: _Open) -> Sighting:
        return self._seen(event, ended=True)

    def _seen(self, event: _Open, *, ended: bool) -> Sighting:
        evidence = event.evidence()
        shape = shape_of(self._normal.normal(evidence.level), evidence)
        duration_s = (event.stop_frame - event.first_frame) * FRAME_SECONDS
        return Sighting(
            event_id=event.event_id,
            first_frame=event.first_frame,
            stop_frame=event.stop_frame,
            run=event.run,
            ended=ended,
            shape=shape,
            severity=severity_of(shape, duration_s),
            windows=event.windows,
            anomalous_windows=event.anomalous_windows,
            score=event.score,
            peak_value=event.peak_value,
            threshold=event.threshold,
            serial=event.serial,
        )
