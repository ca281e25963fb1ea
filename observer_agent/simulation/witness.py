"""Sees what one agent makes and what the coordinator answers, apart from what the agent itself believes."""

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from observer_agent.spool.records import HeldEvent, HeldSegment, Lane, Origin, SegmentRecord
from observer_agent.spool.store import Spool
from observer_agent.uplink.messages import Outcome, Report


class Fate(StrEnum):
    """What became of a segment; `held` is what waits in the spool, `given_up` what the spool dropped."""

    HELD = "held"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    GIVEN_UP = "given_up"


@dataclass(frozen=True)
class SeenModel:
    """What the coordinator was told that the agent runs, in which cell, and since when; no model has serial zero."""

    serial: int
    model: str
    cell: str
    since_at: datetime


@dataclass
class Contact:
    """When calls to the coordinator succeeded: the longest times without any, and from a failure to the next success.

    Times in seconds of the monotonic clock.
    """

    last_s: float = field(default_factory=time.monotonic)
    longest_pause_s: float = 0.0
    longest_outage_s: float = 0.0
    _failing_since_s: float | None = None

    def succeeded(self) -> None:
        """Take note of an answer."""
        now_s = time.monotonic()
        self.longest_pause_s = max(self.longest_pause_s, now_s - self.last_s)
        self.last_s = now_s
        if self._failing_since_s is not None:
            self.longest_outage_s = max(self.longest_outage_s, now_s - self._failing_since_s)
            self._failing_since_s = None

    def failed(self) -> None:
        """Take note of a call without an answer."""
        if self._failing_since_s is None:
            self._failing_since_s = time.monotonic()

    def close(self) -> None:
        """Count the time until now, as if an answer had come."""
        self.succeeded()


class Witness:
    """What is known of one agent. Its methods may be called by several threads."""

    def __init__(self) -> None:
        self.contact = Contact()
        self.fates: dict[Origin, Fate] = {}
        self.made: set[Origin] = set()
        """Segments that were made since the start; others of `fates` lay in the spool before."""
        self.cell_of: dict[Origin, str] = {}
        self.reasons: dict[Origin, str] = {}
        self.sent_bytes = 0
        self.cells: list[tuple[str, datetime]] = []
        """Cells that the coordinator was told that the agent is in, empty for none, and since when."""
        self.models: list[SeenModel] = []
        self.events: dict[str, bool] = {}
        """Events that the coordinator took reports of, and whether it knows that they are over."""
        self._lock = threading.Lock()

    def told(self, report: Report) -> None:
        """Take note of what the coordinator was told that the agent is."""
        now = datetime.now(UTC)
        with self._lock:
            if report.cell != (self.cells[-1][0] if self.cells else ""):
                self.cells.append((report.cell, now))
            seen = SeenModel(report.running_serial, report.running_model, report.cell, report.running_since_at or now)
            last = self.models[-1] if self.models else SeenModel(0, "", "", now)
            if (last.serial, last.cell if last.serial else "") != (seen.serial, seen.cell if seen.serial else ""):
                self.models.append(seen)

    def made_segment(self, origin: Origin, cell: str) -> None:
        """Take note of a segment that entered the spool."""
        with self._lock:
            self.made.add(origin)
            self.cell_of[origin] = cell
            self.fates.setdefault(origin, Fate.HELD)

    def found_segment(self, origin: Origin, cell: str) -> None:
        """Take note of a segment that is about to be sent, whenever it was made."""
        with self._lock:
            self.cell_of.setdefault(origin, cell)
            self.fates.setdefault(origin, Fate.HELD)

    def settled(self, origins: Collection[Origin], fate: Fate, reason: str = "") -> None:
        """Take note of the coordinator's answer; reports, which are no segments, are left out."""
        with self._lock:
            self.contact.succeeded()
            for origin in origins:
                if origin in self.fates:
                    self.fates[origin] = fate
                    self.reasons |= {origin: reason} if reason else {}

    def sent(self, size: int) -> None:
        """Count bytes of segments that travel, sent again or not."""
        with self._lock:
            self.sent_bytes += size

    def reported(self, events: Sequence[HeldEvent], outcomes: Sequence[Outcome]) -> None:
        """Take note of reports of events that the coordinator took."""
        taken = {outcome.origin for outcome in outcomes if outcome.stored}
        with self._lock:
            for event in events:
                if event.origin in taken:
                    over = self.events.get(event.record.event_id, False)
                    self.events[event.record.event_id] = over or event.record.end_at is not None

    def close(self, held: Collection[int]) -> None:
        """Find out what was given up: what has no answer and lies in the spool no more, by its numbers."""
        with self._lock:
            self.contact.close()
            for origin, fate in self.fates.items():
                if fate is Fate.HELD and origin.sequence not in held:
                    self.fates[origin] = Fate.GIVEN_UP


class WitnessedSpool(Spool):
    """A spool that tells a witness what enters and leaves it."""

    witness: Witness

    def put_segment(self, record: SegmentRecord, codes: bytes, capture: str = "") -> Origin:
        """Keep a segment."""
        origin = super().put_segment(record, codes, capture)
        self.witness.made_segment(origin, record.cell)
        return origin

    def next_segment(self, excluding: Collection[Origin] = (), last_lane: Lane = Lane.ROUTINE) -> HeldSegment | None:
        """Return the segment to deliver first."""
        segment = super().next_segment(excluding, last_lane)
        if segment is not None:
            self.witness.found_segment(segment.origin, segment.record.cell)
        return segment

    def acknowledge(self, origins: Sequence[Origin]) -> None:
        """Let go of what the coordinator holds."""
        super().acknowledge(origins)
        self.witness.settled(origins, Fate.ACKNOWLEDGED)

    def quarantine(self, origin: Origin, code: str, reason: str) -> None:
        """Set aside what the coordinator will never take."""
        super().quarantine(origin, code, reason)
        self.witness.settled([origin], Fate.REFUSED, f"{code}: {reason}")

    def count_sent(self, day: date, size: int) -> None:
        """Count what is sent on a day."""
        super().count_sent(day, size)
        self.witness.sent(size)

    def held_numbers(self) -> set[int]:
        """Return the numbers of the segments that wait for delivery."""
        return self._run(lambda ledger: ledger.sequences(quarantined=False))
