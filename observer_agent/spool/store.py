"""The spool: segments and anomalies between the moment they are made and the coordinator's word that it holds them."""

import errno
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel

from bandwatch.artifacts.blobs import digest_of, sync_folder
from bandwatch.errors import UnavailableError
from bandwatch.spectrogram.bands import FRAME_BINS
from observer_agent.spool.files import write_durably
from observer_agent.spool.ledger import DamagedLedgerError, Item, Ledger, Totals, is_damage
from observer_agent.spool.records import (
    LANE_OF,
    AnomalyRecord,
    EventRecord,
    HeldAnomaly,
    HeldEvent,
    HeldSegment,
    HeldStatistics,
    Lane,
    OfCell,
    Origin,
    Purpose,
    R,
    SegmentRecord,
    StatisticsRecord,
    parse_record,
)

_INDEX: Final = "index.sqlite3"
_FAULTS: Final = (DamagedLedgerError, sqlite3.Error, UnicodeDecodeError)
_PASSING: Final = frozenset({errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPERM})
"""Failures to read a file that say nothing about what is in it."""
_REMEMBERED_ORDERS: Final = 4
_INDEX_ROOM_BYTES: Final = 8_000_000
"""Of the disk, left free by segments: letting go of one needs room in the index, too."""
_log: Final = structlog.stdlib.get_logger()
T = TypeVar("T")


class Spool:
    """Holds what was made until it is acknowledged; bounded in bytes; survives a loss of power.

    The index is SQLite, the codes of each segment lie in a file beside it: file first, row second. When the limit is
    passed, the oldest of the last lane goes. What was refused lies in quarantine, which is bounded too. A damaged index
    is set aside and a new spool begins. Numbers go with a boot id that is new at every opening, so none is given twice.

    Methods may be called by several threads. They sync to disk: keep them off an event loop.

    Raises:
        UnavailableError: The disk is full or cannot be written.
    """

    def __init__(self, root: Path, *, limit_bytes: int, quarantine_limit_bytes: int) -> None:
        self._root = root
        self._limit_bytes = limit_bytes
        self._quarantine_limit_bytes = quarantine_limit_bytes
        self._lock = threading.Lock()
        self._set_aside = False
        """Whether the index is closed for its damage, and no new one could be begun yet."""
        with self._lock:
            self._ledger = self._open()

    @property
    def totals(self) -> Totals:
        """Sums since the spool began; do not change them."""
        return self._ledger.totals

    def put_segment(self, record: SegmentRecord, codes: bytes, capture: str = "") -> Origin:
        """Keep a segment; what does not fit is evicted. Training counts for an order for more, where one is named."""

        def put(ledger: Ledger) -> Origin:
            self._leave_room(len(codes))
            with ExitStack() as undoing:
                with ledger.transaction() as totals:
                    origin = ledger.insert(totals, LANE_OF[record.purpose], record.model_dump_json(), len(codes))
                    undoing.callback(self._codes(origin.sequence).unlink, missing_ok=True)
                    write_durably(self._codes(origin.sequence), codes)
                    if record.purpose is Purpose.TRAINING:
                        made = totals.training_frames.get(record.cell, 0)
                        totals.training_frames[record.cell] = made + record.frame_count
                        _count_capture(totals, capture, record.frame_count)
                    evicted = self._evict(ledger, totals)
                undoing.pop_all()
            self._unlink(evicted)
            return origin

        return self._run(put)

    def put_anomalies(self, records: Sequence[AnomalyRecord]) -> None:
        """Keep anomalies, all in one transaction."""
        self._put_reports(Lane.ANOMALY, records)

    def put_events(self, records: Sequence[EventRecord]) -> None:
        """Keep reports of events, all in one transaction. They are evicted last."""
        self._put_reports(Lane.EVENT, records)

    def put_statistics(self, records: Sequence[StatisticsRecord]) -> None:
        """Keep statistics, all in one transaction. They are evicted first."""
        self._put_reports(Lane.STATISTICS, records)

    def _put_reports(self, lane: Lane, records: Sequence[BaseModel]) -> None:
        def put(ledger: Ledger) -> None:
            with ledger.transaction() as totals:
                for record in records:
                    body = record.model_dump_json()
                    ledger.insert(totals, lane, body, len(body))
                evicted = self._evict(ledger, totals)
            self._unlink(evicted)

        self._run(put)

    def next_segment(self, excluding: Collection[Origin] = (), last_lane: Lane = Lane.ROUTINE) -> HeldSegment | None:
        """Return the segment to deliver first, apart from those under way and of later lanes; None when there is none.

        A segment that cannot be read as it was written is dropped with a line in the log, and the next one returned.
        """

        def find(ledger: Ledger) -> HeldSegment | None:
            under_way = json.dumps([origin.sequence for origin in excluding])
            while item := ledger.next_segment(under_way, last_lane):
                record, codes = parse_record(SegmentRecord, item.record), self._read(item)
                if record is not None and digest_of(codes) == record.codes_digest:
                    return HeldSegment(item.origin, record, codes)
                self._drop(ledger, item)
            return None

        return self._run(find)

    def anomalies(self, limit: int) -> list[HeldAnomaly]:
        """Return the oldest anomalies that wait for delivery. One whose record is of another form is dropped."""
        return [HeldAnomaly(*found) for found in self._reports(Lane.ANOMALY, AnomalyRecord, limit)]

    def events(self, limit: int) -> list[HeldEvent]:
        """Return the oldest reports of events that wait for delivery. One of another form is dropped."""
        return [HeldEvent(*found) for found in self._reports(Lane.EVENT, EventRecord, limit)]

    def statistics(self, limit: int) -> list[HeldStatistics]:
        """Return the oldest statistics that wait for delivery. One of another form is dropped."""
        return [HeldStatistics(*found) for found in self._reports(Lane.STATISTICS, StatisticsRecord, limit)]

    def _reports(self, lane: Lane, kind: type[R], limit: int) -> list[tuple[Origin, R]]:
        def find(ledger: Ledger) -> list[tuple[Origin, R]]:
            found: list[tuple[Origin, R]] = []
            while not found and (items := ledger.reports(lane, limit)):
                for item in items:
                    if (record := parse_record(kind, item.record)) is None:
                        self._drop(ledger, item)
                    else:
                        found.append((item.origin, record))
            return found

        return self._run(find)

    def acknowledge(self, origins: Sequence[Origin]) -> None:
        """Let go of what the coordinator holds. Unknown and repeated origins are harmless."""

        def settle(ledger: Ledger) -> None:
            with ledger.transaction() as totals:
                items = _held(ledger, origins)
                for item in items:
                    ledger.remove(totals, item)
                    totals.acknowledged += 1
            self._unlink(items)

        self._run(settle)

    def quarantine(self, origin: Origin, code: str, reason: str) -> None:
        """Set aside what the coordinator will never take. Unknown and repeated origins are harmless."""

        def settle(ledger: Ledger) -> None:
            with ledger.transaction() as totals:
                items = _held(ledger, [origin])
                for item in items:
                    ledger.quarantine(totals, item, code, reason)
                    totals.refused += 1
                    _uncount_training(totals, item)
                forgotten = self._bound_quarantine(ledger, totals)
            self._move_to_quarantine(items)
            self._unlink(forgotten)

        self._run(settle)

    def refusals(self) -> list[tuple[int, str, str]]:
        """Return number, code and reason of everything in quarantine."""
        return self._run(Ledger.refusals)

    def training_frames(self, cell: str) -> int:
        """Return how many frames for training in a cell were kept, apart from those that got lost or were refused."""
        return self.totals.training_frames.get(cell, 0)

    def captured_frames(self, order: str) -> int:
        """Return how many frames for training were kept since an order for more."""
        return self.totals.captured_frames.get(order, 0)

    def count_sent(self, day: date, size: int) -> None:
        """Count durably what is sent on a day; another day begins at zero."""

        def count(ledger: Ledger) -> None:
            with ledger.transaction() as totals:
                before = totals.sent_bytes if totals.sent_day == day.isoformat() else 0
                totals.sent_day, totals.sent_bytes = day.isoformat(), before + size

        self._run(count)

    def sent_on(self, day: date) -> int:
        """Return how many bytes of segments were sent on a day, if it is the newest on which any were."""
        totals = self.totals
        return totals.sent_bytes if totals.sent_day == day.isoformat() else 0

    def close(self) -> None:
        """Close the index; what it holds stays."""
        with self._lock:
            self._ledger.close()

    def _run(self, work: Callable[[Ledger], T]) -> T:
        with self._lock, self._disk_faults():
            if self._set_aside:
                self._ledger = self._open()
                self._set_aside = False
            try:
                return work(self._ledger)
            except _FAULTS as error:
                if not is_damage(error):
                    raise
                self._ledger.close()
                self._set_aside = True
                self._ledger = self._begin_anew(error)
                self._set_aside = False
                return work(self._ledger)

    def _open(self) -> Ledger:
        with self._disk_faults():
            self._make_folders()
            try:
                ledger = Ledger(self._root / _INDEX)
                self._tidy(ledger)
            except _FAULTS as error:
                if not is_damage(error):
                    raise
                return self._begin_anew(error)
            return ledger

    @contextmanager
    def _disk_faults(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise UnavailableError(f"the spool in {self._root} cannot be used: {error}") from error

    def _begin_anew(self, error: Exception) -> Ledger:
        aside = self._root.with_name(f"{self._root.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        self._root.rename(aside)
        _log.warning(
            "the spool was damaged; it is set aside and a new one begun", fault=str(error), set_aside=str(aside)
        )
        self._make_folders()
        return Ledger(self._root / _INDEX)

    def _make_folders(self) -> None:
        for folder in (self._root / "segments", self._root / "quarantine"):
            folder.mkdir(parents=True, exist_ok=True)

    def _tidy(self, ledger: Ledger) -> None:
        """Finish what a crash between a row and its file left undone."""
        held, quarantined = ledger.sequences(quarantined=False), ledger.sequences(quarantined=True)
        for path in (self._root / "segments").iterdir():
            sequence = int(path.stem) if path.suffix == ".u8" and path.stem.isdigit() else 0
            if sequence in quarantined:
                path.replace(self._quarantined(sequence))
            elif sequence not in held:
                path.unlink()
        for path in (self._root / "quarantine").iterdir():
            if not (path.stem.isdigit() and int(path.stem) in quarantined):
                path.unlink()

    def _evict(self, ledger: Ledger, totals: Totals) -> list[Item]:
        evicted = []
        while totals.held_bytes > self._limit_bytes and (item := ledger.first_to_evict()):
            ledger.remove(totals, item)
            totals.evicted += 1
            _uncount_training(totals, item)
            evicted.append(item)
        return evicted

    def _bound_quarantine(self, ledger: Ledger, totals: Totals) -> list[Item]:
        forgotten = []
        while totals.quarantined_bytes > self._quarantine_limit_bytes and (item := ledger.oldest_quarantined()):
            ledger.forget_quarantined(totals, item)
            forgotten.append(item)
        return forgotten

    def _drop(self, ledger: Ledger, item: Item) -> None:
        with ledger.transaction() as totals:
            ledger.remove(totals, item)
            totals.damaged += 1
            _uncount_training(totals, item)
        self._unlink([item])
        _log.warning("what lay in the spool was dropped: it cannot be read as it was written", sequence=item.sequence)

    def _read(self, item: Item) -> bytes:
        try:
            return self._codes(item.sequence).read_bytes()
        except OSError as error:
            if error.errno in _PASSING:
                raise
            return b""

    def _move_to_quarantine(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.lane > 0 and self._codes(item.sequence).exists():
                self._codes(item.sequence).replace(self._quarantined(item.sequence))
        sync_folder(self._root / "quarantine")

    def _leave_room(self, size: int) -> None:
        """Refuse what would take the last of the disk, without which nothing could be settled any more."""
        free = shutil.disk_usage(self._root).free
        if free - size < _INDEX_ROOM_BYTES:
            raise OSError(errno.ENOSPC, f"the disk has {free / 1e6:.0f} MB left; make room on it")

    def _unlink(self, items: Sequence[Item]) -> None:
        for item in items:
            self._codes(item.sequence).unlink(missing_ok=True)
            self._quarantined(item.sequence).unlink(missing_ok=True)

    def _codes(self, sequence: int) -> Path:
        return self._root / "segments" / f"{sequence}.u8"

    def _quarantined(self, sequence: int) -> Path:
        return self._root / "quarantine" / f"{sequence}.u8"


def _held(ledger: Ledger, origins: Sequence[Origin]) -> list[Item]:
    """Return the held items of these origins, each once."""
    return [item for origin in dict.fromkeys(origins) if (item := ledger.held(origin)) is not None]


def _count_capture(totals: Totals, order: str, frames: int) -> None:
    """Count frames for an order for more; only the newest few orders are remembered."""
    if order:
        kept = {name: count for name, count in totals.captured_frames.items() if name != order}
        newest = dict(list(kept.items())[1 - _REMEMBERED_ORDERS :])
        totals.captured_frames = {**newest, order: totals.captured_frames.get(order, 0) + frames}


def _uncount_training(totals: Totals, item: Item) -> None:
    """Count a segment that trains nobody no more towards the target of its cell."""
    if item.lane is Lane.TRAINING and (record := parse_record(OfCell, item.record)) is not None:
        counted = totals.training_frames.get(record.cell, 0)
        totals.training_frames[record.cell] = max(0, counted - item.size // FRAME_BINS)
