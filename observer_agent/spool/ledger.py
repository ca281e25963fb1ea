"""The spool's index in SQLite: what is held, and how much was made, delivered and lost since the spool began."""

import hashlib
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationError

from bandwatch.errors import CorruptError
from observer_agent.spool.records import Lane, Origin

_SCHEMA: Final = """
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), body TEXT NOT NULL, digest TEXT NOT NULL) STRICT;
CREATE TABLE items (
    sequence INTEGER PRIMARY KEY,
    boot_id TEXT NOT NULL,
    lane INTEGER NOT NULL,
    size INTEGER NOT NULL,
    record TEXT NOT NULL,
    digest TEXT NOT NULL,
    quarantined INTEGER NOT NULL DEFAULT 0,
    code TEXT,
    reason TEXT
) STRICT;
CREATE INDEX items_by_lane ON items (quarantined, lane, sequence);
"""
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Failures that say nothing about the file: a full disk, a lock, no rights."""

Count = Annotated[int, Field(ge=0)]


class DamagedLedgerError(CorruptError):
    """The index does not agree with itself."""


class Totals(BaseModel):
    """Sums since the spool began: made = held + acknowledged + evicted + refused + damaged.

    `boot_id` goes with the numbers that are given now. It is another one after every opening: an index that lost its
    newest rows, or came back from a backup, may give a number again, but never under the same boot id.
    """

    boot_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    last_sequence: Count = 0
    acknowledged: Count = 0
    evicted: Count = 0
    refused: Count = 0
    damaged: Count = 0
    held_segments: Count = 0
    held_anomalies: Count = 0
    held_events: Count = 0
    held_statistics: Count = 0
    held_bytes: Count = 0
    quarantined: Count = 0
    quarantined_bytes: Count = 0
    training_frames: dict[str, Count] = {}
    captured_frames: dict[str, Count] = {}
    """Frames for training that were kept since each of the newest orders for more, whatever became of them."""
    sent_day: str = ""
    sent_bytes: Count = 0
    """Bytes of segments that were sent on the newest day on which any were, sent again or not."""

    @property
    def made(self) -> int:
        """Everything that was ever put into the spool: every number was given once."""
        return self.last_sequence

    @property
    def held(self) -> int:
        """What waits for delivery."""
        return self.held_segments + self.held_anomalies + self.held_events + self.held_statistics


@dataclass(frozen=True)
class Item:
    """A row: what the spool needs to know of one held or quarantined thing."""

    origin: Origin
    lane: Lane
    size: int
    record: str

    @property
    def sequence(self) -> int:
        """Number of the item, which is unique in this index."""
        return self.origin.sequence


def is_damage(error: Exception) -> bool:
    """Tell whether an error of the index means that the file itself is bad; text that is no UTF-8 means it too."""
    if isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return (code & 0xFF) not in _PASSING


class Ledger:
    """One connection to the index. Not safe for use by two threads at once.

    Raises:
        DamagedLedgerError: The file is not what was written.
        sqlite3.Error: See `is_damage`.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open()
        except BaseException:
            self._connection.close()
            raise

    def _open(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        if self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            self._create()
        (verdict,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedLedgerError(f"SQLite finds the index damaged: {verdict}")
        self.totals = self._read_totals()
        self._compare_with_rows()
        with self.transaction() as totals:
            totals.boot_id = secrets.token_hex(16)

    def _create(self) -> None:
        totals = Totals(boot_id=secrets.token_hex(16))
        body = totals.model_dump_json()
        self._connection.executescript(f"BEGIN; {_SCHEMA}")
        self._connection.execute("INSERT INTO state VALUES (1, ?, ?)", (body, _digest(body)))
        self._connection.execute("COMMIT")

    def _read_totals(self) -> Totals:
        row = self._connection.execute("SELECT body, digest FROM state").fetchone()
        if row is None or _digest(row[0]) != row[1]:
            raise DamagedLedgerError("the sums of the index have changed")
        try:
            return Totals.model_validate_json(row[0])
        except ValidationError as error:
            raise DamagedLedgerError("the sums of the index are of another form") from error

    def _compare_with_rows(self) -> None:
        query = """
            SELECT coalesce(sum(quarantined = 0 AND lane > 0), 0), coalesce(sum(quarantined = 0 AND lane = 0), 0),
                   coalesce(sum(quarantined = 0 AND lane = -2), 0), coalesce(sum(quarantined = 0 AND lane = -1), 0),
                   coalesce(sum(size) FILTER (WHERE quarantined = 0), 0),
                   coalesce(sum(quarantined = 1), 0), coalesce(sum(size) FILTER (WHERE quarantined = 1), 0),
                   coalesce(max(sequence), 0) <= ? AND coalesce(min(lane), 0) >= -2 AND coalesce(max(lane), 0) <= 3
            FROM items"""
        seen = self._connection.execute(query, (self.totals.last_sequence,)).fetchone()
        t = self.totals
        held = (t.held_segments, t.held_anomalies, t.held_events, t.held_statistics, t.held_bytes)
        if seen != (*held, t.quarantined, t.quarantined_bytes, 1):
            raise DamagedLedgerError("the rows of the index do not add up to its sums")

    @contextmanager
    def transaction(self) -> Iterator[Totals]:
        """Give a copy of the sums to change; it and the rows become durable together, or neither does."""
        draft = self.totals.model_copy(deep=True)
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield draft
            body = draft.model_dump_json()
            self._connection.execute("UPDATE state SET body = ?, digest = ?", (body, _digest(body)))
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self.totals = draft

    def insert(self, totals: Totals, lane: Lane, record: str, size: int) -> Origin:
        """Add a held item and return its identity."""
        totals.last_sequence += 1
        row = (totals.last_sequence, totals.boot_id, int(lane), size, record)
        self._connection.execute(
            "INSERT INTO items (sequence, boot_id, lane, size, record, digest) VALUES (?, ?, ?, ?, ?, ?)",
            (*row, _row_digest(row)),
        )
        _count_held(totals, lane, size, 1)
        return Origin(totals.boot_id, totals.last_sequence)

    def remove(self, totals: Totals, item: Item) -> None:
        """Take away a held item."""
        self._connection.execute("DELETE FROM items WHERE sequence = ?", (item.sequence,))
        _count_held(totals, item.lane, item.size, -1)

    def quarantine(self, totals: Totals, item: Item, code: str, reason: str) -> None:
        """Set a held item aside with the reason."""
        self._connection.execute(
            "UPDATE items SET quarantined = 1, code = ?, reason = ? WHERE sequence = ?", (code, reason, item.sequence)
        )
        _count_held(totals, item.lane, item.size, -1)
        totals.quarantined += 1
        totals.quarantined_bytes += item.size

    def forget_quarantined(self, totals: Totals, item: Item) -> None:
        """Take away a quarantined item."""
        self._connection.execute("DELETE FROM items WHERE sequence = ?", (item.sequence,))
        totals.quarantined -= 1
        totals.quarantined_bytes -= item.size

    def held(self, origin: Origin) -> Item | None:
        """Return the held item of that identity."""
        return self._one("WHERE quarantined = 0 AND sequence = ? AND boot_id = ?", (origin.sequence, origin.boot_id))

    def first_to_evict(self) -> Item | None:
        """Return the oldest statistics, else the oldest held item of the last lane."""
        statistics = self._one("WHERE quarantined = 0 AND lane = ? ORDER BY sequence", (int(Lane.STATISTICS),))
        return statistics or self._one("WHERE quarantined = 0 ORDER BY lane DESC, sequence", ())

    def oldest_quarantined(self) -> Item | None:
        """Return the quarantined item that has been there longest."""
        return self._one("WHERE quarantined = 1 ORDER BY sequence", ())

    def next_segment(self, excluding: str, last_lane: Lane) -> Item | None:
        """Return the held segment to deliver first, of no later lane, apart from the numbers in a JSON array."""
        return self._one(
            "WHERE quarantined = 0 AND lane > 0 AND lane <= ? AND sequence NOT IN (SELECT value FROM json_each(?)) "
            "ORDER BY lane, sequence",
            (int(last_lane), excluding),
        )

    def reports(self, lane: Lane, limit: int) -> list[Item]:
        """Return what is held in a lane that holds no segments, oldest first."""
        return self._several("WHERE quarantined = 0 AND lane = ? ORDER BY sequence LIMIT ?", (int(lane), limit))

    def sequences(self, *, quarantined: bool) -> set[int]:
        """Return the numbers of all segments that are held, or quarantined."""
        query = "SELECT sequence FROM items WHERE lane > 0 AND quarantined = ?"
        return {sequence for (sequence,) in self._connection.execute(query, (int(quarantined),))}

    def refusals(self) -> list[tuple[int, str, str]]:
        """Return number, code and reason of everything in quarantine."""
        query = "SELECT sequence, code, reason FROM items WHERE quarantined = 1 ORDER BY sequence"
        return [(sequence, code, reason) for sequence, code, reason in self._connection.execute(query)]

    def _one(self, where: str, parameters: tuple[object, ...]) -> Item | None:
        return next(iter(self._several(f"{where} LIMIT 1", parameters)), None)

    def _several(self, where: str, parameters: tuple[object, ...]) -> list[Item]:
        query = f"SELECT sequence, boot_id, lane, size, record, digest FROM items {where}"  # noqa: S608 - our own clauses
        items = []
        for *row, digest in self._connection.execute(query, parameters):
            sequence, boot_id, lane, size, record = row
            if _row_digest(tuple(row)) != digest:
                raise DamagedLedgerError(f"row {sequence} of the index has changed")
            items.append(Item(Origin(boot_id, sequence), Lane(lane), size, record))
        return items

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _count_held(totals: Totals, lane: Lane, size: int, change: int) -> None:
    if lane is Lane.ANOMALY:
        totals.held_anomalies += change
    elif lane is Lane.EVENT:
        totals.held_events += change
    elif lane is Lane.STATISTICS:
        totals.held_statistics += change
    else:
        totals.held_segments += change
    totals.held_bytes += change * size


def _row_digest(row: tuple[object, ...]) -> str:
    return _digest(" ".join(str(value) for value in row))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
