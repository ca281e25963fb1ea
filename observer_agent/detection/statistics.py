"""What the radio saw and what each model said, as sums over spans of time: small enough to report of everything."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bandwatch.spectrogram.bands import CODE_STEP_DB, FRAME_SECONDS, WINDOW_FRAMES
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, decode_frames
from bandwatch.spectrogram.quality import is_noise_only
from observer_agent.detection.detector import ScoredWindows
from observer_agent.detection.pipeline import FrameBatch
from observer_agent.receivers.clock import SampleClock
from observer_agent.spool.records import ComparisonRecord, ScoreRecord, StatisticsRecord

_LOOK_FRAMES: Final = 10 * WINDOW_FRAMES
"""Frames of one look for noise without a signal: 0.32 s."""
_CODES: Final = 256
_LEVELS_DBM: Final = DEFAULT_REFERENCE_DB + CODE_STEP_DB * np.arange(_CODES)
_FLOOR_QUANTILE: Final = 0.1


@dataclass
class _Scores:
    """Sums of one release."""

    serial: int
    shadow: bool
    false_alarm_rate: float
    windows: int = 0
    anomalous: int = 0
    unscored: int = 0
    error_sum_db: float = 0.0
    error_square_sum_db2: float = 0.0
    scoring_s: float = 0.0

    def add(self, scored: ScoredWindows) -> None:
        errors = scored.error_db[is_scored(scored)].astype(np.float64)
        self.windows += len(scored.error_db)
        self.unscored += len(scored.error_db) - len(errors)
        self.anomalous += int(scored.anomalous.sum())
        self.error_sum_db += float(errors.sum())
        self.error_square_sum_db2 += float(np.square(errors).sum())
        self.scoring_s += scored.scoring_s

    def record(self) -> ScoreRecord:
        return ScoreRecord(
            serial=self.serial,
            shadow=self.shadow,
            windows=self.windows,
            anomalous_windows=self.anomalous,
            unscored_windows=self.unscored,
            error_sum_db=self.error_sum_db,
            error_square_sum_db2=self.error_square_sum_db2,
            false_alarm_rate=self.false_alarm_rate,
            scoring_s=self.scoring_s,
        )


@dataclass
class _Span:
    """Everything since the span began."""

    cell: str
    serials: tuple[int, int]
    first_sample: float
    end_sample: float = 0.0
    frames: int = 0
    clipped_frames: float = 0.0
    lost_samples: int = 0
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(_CODES, np.int64))
    looks: int = 0
    noise_looks: int = 0
    scores: dict[int, _Scores] = field(default_factory=dict)
    compared: int = 0
    difference_sum_db: float = 0.0
    difference_square_sum_db2: float = 0.0


def is_scored(scored: ScoredWindows) -> NDArray[np.bool_]:
    """Tell of which windows, bool [n], both error and score are finite numbers."""
    both: NDArray[np.bool_] = np.isfinite(scored.error_db) & np.isfinite(scored.values)
    return both


class StatisticsMaker:
    """Sums up batches of frames. A span ends after its time, and where the cell or a model changes."""

    def __init__(self, clock: SampleClock, span_s: float) -> None:
        self._clock = clock
        self._span_frames = max(1, round(span_s / FRAME_SECONDS))
        self._span: _Span | None = None
        self._look: list[NDArray[np.uint8]] = []
        self._run_began = -1

    def push(self, batch: FrameBatch, cell: str, *, lost_samples: int = 0) -> list[StatisticsRecord]:
        """Take a batch and return the spans that it completed."""
        key = (cell, (batch.serial, batch.shadow_serial))
        changed = self._span is not None and (self._span.cell, self._span.serials) != key
        done = self.close() if changed else []
        if not len(batch.codes):
            return done
        if self._span is None:
            self._span = _Span(cell, key[1], batch.run.sample_of(batch.first_frame))
        self._add(self._span, batch, lost_samples)
        return done + self.close() if self._span.frames >= self._span_frames else done

    def close(self) -> list[StatisticsRecord]:
        """Return the span that was begun, if any."""
        span, self._span = self._span, None
        return [] if span is None else [self._record(span)]

    def _add(self, span: _Span, batch: FrameBatch, lost_samples: int) -> None:
        frames = len(batch.codes)
        span.end_sample = batch.run.sample_of(batch.first_frame + frames)
        span.frames += frames
        span.clipped_frames += batch.clipped_share * frames
        span.lost_samples += lost_samples
        span.histogram += np.bincount(batch.codes.ravel(), minlength=_CODES)
        self._look_for_noise(span, batch)
        for scored, shadow in ((batch.windows, False), (batch.shadow_windows, True)):
            if scored is not None:
                begun = _Scores(scored.serial, shadow, scored.false_alarm_rate)
                span.scores.setdefault(scored.serial, begun).add(scored)
        if batch.windows is not None and batch.shadow_windows is not None:
            _compare(span, batch.windows, batch.shadow_windows)

    def _look_for_noise(self, span: _Span, batch: FrameBatch) -> None:
        """Look at every so many frames without a gap."""
        if batch.run.first_frame != self._run_began:
            self._look, self._run_began = [], batch.run.first_frame
        self._look.append(batch.codes)
        if sum(len(codes) for codes in self._look) >= _LOOK_FRAMES:
            span.looks += 1
            span.noise_looks += is_noise_only(decode_frames(np.concatenate(self._look), DEFAULT_REFERENCE_DB))
            self._look = []

    def _record(self, span: _Span) -> StatisticsRecord:
        start_at = self._clock.moment_of(span.first_sample)
        lasted = self._clock.moment_of(span.end_sample) - start_at
        compared = span.compared > 0
        return StatisticsRecord(
            cell=span.cell,
            start_at=start_at,
            duration_s=max(lasted.total_seconds(), span.frames * FRAME_SECONDS),
            frames=span.frames,
            power_dbm=_mean_power_dbm(span.histogram),
            noise_floor_dbm=_quantile_dbm(span.histogram, _FLOOR_QUANTILE),
            clipped_share=min(1.0, span.clipped_frames / span.frames),
            lost_samples=span.lost_samples,
            noise_only_share=span.noise_looks / span.looks if span.looks else 0.0,
            scores=tuple(scores.record() for scores in span.scores.values()),
            comparison=_comparison(span) if compared else None,
        )


def _compare(span: _Span, active: ScoredWindows, shadow: ScoredWindows) -> None:
    both = is_scored(active) & is_scored(shadow)
    difference = (shadow.error_db[both] - active.error_db[both]).astype(np.float64)
    span.compared += len(difference)
    span.difference_sum_db += float(difference.sum())
    span.difference_square_sum_db2 += float(np.square(difference).sum())


def _comparison(span: _Span) -> ComparisonRecord:
    active, shadow = span.serials
    return ComparisonRecord(
        active_serial=active,
        shadow_serial=shadow,
        windows=span.compared,
        difference_sum_db=span.difference_sum_db,
        difference_square_sum_db2=span.difference_square_sum_db2,
    )


def _mean_power_dbm(histogram: NDArray[np.int64]) -> float:
    """Return the mean power of all bins of all frames, which is the mean of the frames' mean powers."""
    milliwatts = 10 ** (_LEVELS_DBM / 10)
    return float(10 * np.log10((histogram * milliwatts).sum() / histogram.sum()))


def _quantile_dbm(histogram: NDArray[np.int64], share: float) -> float:
    counted = np.cumsum(histogram)
    return float(_LEVELS_DBM[int(np.searchsorted(counted, share * counted[-1]))])
