"""What the radio side made, into the spool: anomalies, and those segments that something needs."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from bandwatch.artifacts.blobs import digest_of
from bandwatch.errors import UnavailableError
from bandwatch.spectrogram.bands import WINDOW_FRAMES
from bandwatch.spectrogram.frames import DEFAULT_REFERENCE_DB, decode_frames
from bandwatch.spectrogram.quality import is_noise_only
from observer_agent.detection.pipeline import FrameBatch
from observer_agent.detection.purposes import EvidenceBudget, choose_purpose
from observer_agent.detection.segmenter import CutSegment
from observer_agent.models.desired import DesiredState
from observer_agent.receivers.clock import SampleClock
from observer_agent.settings import AgentSettings, Mobility
from observer_agent.spool.records import AnomalyRecord, Purpose, SegmentRecord
from observer_agent.spool.store import Spool

_log: Final = structlog.stdlib.get_logger()


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
        self._spool = spool
        self._settings = settings
        self._mobility: Mobility = mobility
        self._gain_db = gain_db
        self._on_made = on_made
        self._budget = EvidenceBudget(settings.evidence_segments_per_hour)

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
            )
            for index in windows.anomalous.nonzero()[0]
        ]
        with self._into_spool():
            self._spool.put_anomalies(records)
        return len(records)

    def keep(self, segments: Sequence[CutSegment], desired: DesiredState) -> None:
        """Keep those segments of a cell that something needs."""
        for segment in segments:
            purpose = choose_purpose(
                segment.anomalous,
                false_alarm_rate=self._settings.false_alarm_rate,
                budget=self._budget,
                now_s=time.monotonic(),
                training_frames=self._spool.training_frames(desired.cell),
                training_target_s=desired.training_target_s,
            )
            if purpose is not None:
                codes = segment.codes.tobytes()
                with self._into_spool():
                    self._spool.put_segment(self._describe(segment, codes, desired.cell, purpose), codes)

    def _describe(self, segment: CutSegment, codes: bytes, cell: str, purpose: Purpose) -> SegmentRecord:
        return SegmentRecord(
            cell=cell,
            start_at=segment.start_at,
            clock_error_s=self._settings.clock_error_s,
            frame_count=len(segment.codes),
            reference_dbm=DEFAULT_REFERENCE_DB,
            purpose=purpose,
            mobility=self._mobility,
            clipped_share=segment.clipped_share,
            noise_only=is_noise_only(decode_frames(segment.codes, DEFAULT_REFERENCE_DB)),
            gain_db=self._gain_db,
            scored_by_serial=segment.serial,
            anomalous_windows=int(segment.anomalous.sum()),
            codes_digest=digest_of(codes),
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
