"""What the radio side made, into the spool: anomalies, and those segments that something needs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from bandwatch.artifacts.blobs import digest_of
from bandwatch.errors import UnavailableError
from bandwatch.spectrogram.bands import FRAME_SECONDS, WINDOW_FRAMES
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, decode_frames
from bandwatch.spectrogram.quality import is_noise_only
from observer_agent.detection.pipeline import FrameBatch
from observer_agent.detection.purposes import EvidenceBudget, choose_purpose
from observer_agent.detection.segmenter import CutSegment
from observer_agent.models.desired import DesiredState
from observer_agent.places.positions import Fix
from observer_agent.receivers.clock import SampleClock
from observer_agent.settings import AgentSettings, Mobility
from observer_agent.spool.records import AnomalyRecord, EventRecord, Purpose, SegmentRecord, StatisticsRecord
from observer_agent.spool.store import Spool

_LARGEST_CLOCK_ERROR_S: Final = 86_400.0
_log: Final = structlog.stdlib.get_logger()


@dataclass(frozen=True)
class _Waiting:
    """A segment that is kept, or not, once the next one tells whether an event begins in it."""

    segment: CutSegment
    where: dict[str, float | None]
    turned_before: bool


class Keeper:
    """Decides what is kept, describes it and puts it into the spool. `on_made` is called after each."""

    def __init__(
        self,
        spool: Spool,
        settings: AgentSettings,
        *,
        mobility: Mobility,
        gain_db: float | None,
        on_made: Callable[[], None],
    ) -> None:
        self.not_kept = 0
        self._where: dict[str, float | None] = {}
        self._spool = spool
        self._settings = settings
        self._mobility: Mobility = mobility
        self._gain_db = gain_db
        self._on_made = on_made
        self._budget = EvidenceBudget(settings.evidence_segments_per_hour)
        self._waiting: _Waiting | None = None
        self._clock_error_s = settings.clock_error_s

    def note_clock(self, off_s: float) -> None:
        """Take note of how far this machine's clock is off: what is made from now on says so, and does not train."""
        usual_s, before_s = self._settings.clock_error_s, self._clock_error_s
        self._clock_error_s = max(usual_s, min(off_s, _LARGEST_CLOCK_ERROR_S))
        if self._clock_error_s > usual_s >= before_s:
            _log.warning("this machine's clock is not the coordinator's: set it", off_s=round(off_s, 1))

    def report(self, batch: FrameBatch, cell: str, clock: SampleClock) -> int:
        """Keep the anomalies of a batch and return how many there are."""
        windows = batch.windows
        if windows is None or not windows.anomalous.any():
            return 0
        records = [
            AnomalyRecord(
                cell=cell,
                window_start_at=clock.moment_of(batch.run.sample_of(int(windows.first_frames[index]))),
                window_frames=WINDOW_FRAMES,
                error_db=float(windows.error_db[index]),
                score=windows.score,
                value=float(windows.values[index]),
                threshold=windows.threshold,
                false_alarm_rate=windows.false_alarm_rate,
                model=windows.model,
                serial=windows.serial,
                rung=windows.rung,
            )
            for index in windows.anomalous.nonzero()[0]
        ]
        with self._into_spool():
            self._spool.put_anomalies(records)
        return len(records)

    def locate(self, fix: Fix | None) -> None:
        """Take note of where the observer is, for the segments that are kept from now on."""
        names = ("speed_mps", "latitude_deg", "longitude_deg", "accuracy_m")
        self._where = {} if fix is None else {name: getattr(fix, name) for name in names}

    def keep_events(self, events: Sequence[EventRecord]) -> None:
        """Keep what is news of events."""
        if events:
            with self._into_spool():
                self._spool.put_events(events)

    def keep_statistics(self, spans: Sequence[StatisticsRecord]) -> None:
        """Keep what was summed up over spans of time."""
        if spans:
            with self._into_spool():
                self._spool.put_statistics(spans)

    def keep(self, segments: Sequence[CutSegment], desired: DesiredState) -> None:
        """Keep those segments of a cell that something needs. The newest waits for what comes after it."""
        for segment in segments:
            self._keep_waiting(desired, turns_after=segment.has_turn)
            turned_before = self._waiting is not None and self._waiting.segment.has_turn
            self._waiting = _Waiting(segment, dict(self._where), turned_before)

    def keep_rest(self, desired: DesiredState) -> None:
        """Keep the segment that waits, if something needs it, since none comes after it."""
        self._keep_waiting(desired, turns_after=False)
        self._waiting = None

    def _keep_waiting(self, desired: DesiredState, *, turns_after: bool) -> None:
        if self._waiting is None:
            return
        segment = self._waiting.segment
        capture = "" if segment.self_test else self._open_capture(desired)
        purpose = choose_purpose(
            segment.anomalous,
            false_alarm_rate=self._settings.false_alarm_rate,
            budget=self._budget,
            now_s=time.monotonic(),
            training_frames=self._spool.training_frames(desired.cell),
            training_target_s=0.0 if segment.self_test else desired.training_target_s,
            captures=bool(capture),
            is_turn=segment.has_turn or self._waiting.turned_before or turns_after,
        )
        if purpose is not None:
            codes = segment.codes.tobytes()
            record = self._describe(self._waiting, codes, desired.cell, purpose)
            with self._into_spool():
                self._spool.put_segment(record, codes, capture)

    def _open_capture(self, desired: DesiredState) -> str:
        """Return the order for more frames of a cell that holds and is not carried out yet; empty where none does."""
        order = desired.capture
        if order is None or order.cell != desired.cell or order.expires_at <= datetime.now(UTC):
            return ""
        captured_s = self._spool.captured_frames(order.order) * FRAME_SECONDS
        return order.order if captured_s < order.duration_s else ""

    def _describe(self, waiting: "_Waiting", codes: bytes, cell: str, purpose: Purpose) -> SegmentRecord:
        segment = waiting.segment
        return SegmentRecord(
            cell=cell,
            start_at=segment.start_at,
            clock_error_s=self._clock_error_s,
            frame_count=len(segment.codes),
            reference_dbm=DEFAULT_REFERENCE_DB,
            purpose=purpose,
            mobility=self._mobility,
            **waiting.where,
            clipped_share=segment.clipped_share,
            noise_only=is_noise_only(decode_frames(segment.codes, DEFAULT_REFERENCE_DB)),
            gain_db=self._gain_db,
            scored_by_serial=segment.serial,
            anomalous_windows=int(segment.anomalous.sum()),
            codes_digest=digest_of(codes),
            self_test=segment.self_test,
        )

    @contextmanager
    def _into_spool(self) -> Iterator[None]:
        """Lose what the disk does not take, and go on listening."""
        try:
            yield
        except UnavailableError as error:
            self.not_kept += 1
            _log.error("the spool did not take what was made", fault=error.message)
        else:
            self._on_made()
