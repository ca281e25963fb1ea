"""Segments: admitted one by one, blob first, row second, acknowledgement last."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, column, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from bandwatch import names
from bandwatch.artifacts.blobs import Blobs
from bandwatch.errors import (
    AlreadyExistsError,
    BandwatchError,
    CorruptError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS
from bandwatch.wire.codes import decompress_codes
from coordinator.registry.entities import Cell, Purpose, Segment
from coordinator.registry.totals import SegmentTotal
from coordinator.services.paging import Page, PageRequest, read_page
from coordinator.services.refusals import Refused

_Key = tuple[str, str, int]
"""Observer, boot and number of a segment."""


@dataclass(frozen=True)
class NewSegment:
    """A segment as an observer sent it: the fields of its future row."""

    observer_id: str
    boot_id: str
    sequence: int
    cell_id: str
    start_at: datetime
    clock_error: timedelta | None
    frame_count: int
    reference_dbm: float
    purpose: Purpose
    context: dict[str, Any]
    clipped_share: float
    lost_samples: int
    noise_only: bool
    gain_db: float | None
    scored_by_serial: int
    anomalous_windows: int
    codes_digest: str
    gain_changed: bool = False
    self_test_id: str | None = None

    @property
    def key(self) -> _Key:
        """Who made it and its number: sending it twice gives one row."""
        return (self.observer_id, self.boot_id, self.sequence)

    @property
    def duration(self) -> timedelta:
        """Time that the frames cover."""
        return timedelta(seconds=self.frame_count * FRAME_SECONDS)


_COLUMNS: Final = [Segment.__table__.columns[field.name] for field in fields(NewSegment)]
_ROWS: Final = func.jsonb_to_recordset(bindparam("rows", type_=JSONB)).table_valued(
    *(column(stored.name, stored.type) for stored in _COLUMNS)
)
_INSERT: Final = (
    insert(Segment)
    .from_select([stored.name for stored in _COLUMNS], select(_ROWS.render_derived(with_types=True)))
    .on_conflict_do_nothing()
    .returning(Segment.observer_id, Segment.boot_id, Segment.sequence)
)
"""Inserts any number of rows that come as one JSON parameter.

Its text is always the same, so it is compiled and prepared once; with parameters for each row it would be another one
for each number of rows.
"""


def _plain(segment: NewSegment) -> dict[str, Any]:
    """Return the fields as JSON, times in PostgreSQL's words."""
    error = segment.clock_error
    return vars(segment) | {
        "start_at": segment.start_at.isoformat(),
        "clock_error": None if error is None else f"{error // timedelta(microseconds=1)} microseconds",
    }


def check(segment: NewSegment, codes: bytes, *, caller_id: str, clock_lead: timedelta) -> None:
    """Refuse a segment that can never be stored.

    Raises:
        PermissionDeniedError: It names another observer than the caller.
        InvalidArgumentError: Its codes have the wrong length, or it lies in the future.
        CorruptError: Its codes are not those that its digest names.
    """
    if segment.observer_id != caller_id:
        raise PermissionDeniedError(
            f"this token belongs to {names.observers.name(caller_id)}; "
            f"a segment of {names.observers.name(segment.observer_id)} must come with that observer's own token"
        )
    if len(codes) != segment.frame_count * FRAME_BINS:
        raise InvalidArgumentError(
            f"{segment.frame_count} frames are {segment.frame_count * FRAME_BINS} bytes of codes, "
            f"but {len(codes)} arrived: send whole frames of {FRAME_BINS} codes, at most 4 s in one segment"
        )
    latest = datetime.now(UTC) + clock_lead
    if segment.start_at + segment.duration > latest:
        raise InvalidArgumentError(
            f"the segment ends at {(segment.start_at + segment.duration).isoformat()}, which is in the future here: "
            "set the observer's clock (NTP or GPS) and send it again under a new number"
        )
    if hashlib.sha256(codes).hexdigest() != segment.codes_digest:
        raise CorruptError("the codes are not those that codes_digest names: they changed on the way; send them again")


@dataclass(frozen=True)
class Admitted:
    """A segment that passed every check and whose blob is durable."""

    segment: NewSegment


@dataclass(frozen=True)
class Stored:
    """Blob and row are durable; `before` tells that they were already."""

    before: bool


async def admit(
    blobs: Blobs, segment: NewSegment, codes: bytes, *, packed: bool, caller_id: str, clock_lead: timedelta
) -> Admitted | Refused:
    """Check a segment, whose codes may have come compressed, and make its blob of plain codes durable."""
    return await asyncio.to_thread(_admit, blobs, segment, codes, packed, caller_id, clock_lead)


def _admit(
    blobs: Blobs,
    segment: NewSegment,
    codes: bytes,
    packed: bool,  # noqa: FBT001 - handed on by position to the thread
    caller_id: str,
    clock_lead: timedelta,
) -> Admitted | Refused:
    try:
        if packed:
            codes = decompress_codes(codes, segment.frame_count * FRAME_BINS)
        check(segment, codes, caller_id=caller_id, clock_lead=clock_lead)
    except BandwatchError as error:
        return Refused(error.code, error.message)
    blobs.write_named(codes, segment.codes_digest)
    return Admitted(segment)


async def store(session: AsyncSession, segments: Sequence[NewSegment]) -> list[Stored | Refused]:
    """Write the rows of segments whose blobs are durable, and tell for each what became of it."""
    known = set(await session.scalars(select(Cell.id).where(Cell.id.in_({s.cell_id for s in segments}))))
    rows: dict[_Key, NewSegment] = {}
    for segment in segments:
        if segment.cell_id in known:
            rows.setdefault(segment.key, segment)
    fresh = await _insert(session, list(rows.values()))
    held = await _digests(session, set(rows) - fresh) | {key: rows[key].codes_digest for key in fresh}
    return [_outcome(s, known, held, before=s.key not in fresh or s is not rows[s.key]) for s in segments]


async def _insert(session: AsyncSession, segments: list[NewSegment]) -> set[_Key]:
    """Insert what is not there yet, and return the keys of what was inserted."""
    if not segments:
        return set()
    connection = await session.connection()  # a session would take the parameter for a column
    inserted = await connection.execute(_INSERT, {"rows": [_plain(segment) for segment in segments]})
    return {(observer, boot, sequence) for observer, boot, sequence in inserted}


async def _digests(session: AsyncSession, keys: set[_Key]) -> dict[_Key, str]:
    if not keys:
        return {}
    key = tuple_(Segment.observer_id, Segment.boot_id, Segment.sequence)
    rows = await session.execute(
        select(Segment.observer_id, Segment.boot_id, Segment.sequence, Segment.codes_digest).where(key.in_(keys))
    )
    return {(observer, boot, sequence): digest for observer, boot, sequence, digest in rows}


def _outcome(segment: NewSegment, known_cells: set[str], held: dict[_Key, str], *, before: bool) -> Stored | Refused:
    if segment.cell_id not in known_cells:
        return Refused(
            NotFoundError.code,
            f"{names.cells.name(segment.cell_id)} is not registered: ask the operator to create it, "
            "or let the agent Sync to learn its present cell",
        )
    if held[segment.key] != segment.codes_digest:
        return Refused(
            AlreadyExistsError.code,
            f"number {segment.sequence} of this boot holds other codes already: "
            "two agents share one identity, or a disk was restored; start the agent with a fresh spool",
        )
    return Stored(before=before)


async def get(session: AsyncSession, observer_id: str, boot_id: str, sequence: int) -> Segment:
    """Read a segment.

    Raises:
        NotFoundError: There is none of that identity.
    """
    segment = await session.get(Segment, (observer_id, boot_id, sequence))
    if segment is None:
        raise NotFoundError(f"{names.segment_name(observer_id, boot_id, sequence)} is not stored here")
    return segment


async def list_segments(
    session: AsyncSession, page: PageRequest, *, cell_id: str | None, observer_id: str | None, purpose: Purpose | None
) -> tuple[Page[Segment], int, timedelta]:
    """List segments by observer and number, with how many match in all and the time that they cover."""
    wanted = {"cell_id": cell_id, "observer_id": observer_id, "purpose": purpose}
    filters = {name: value for name, value in wanted.items() if value}
    key = [Segment.observer_id, Segment.boot_id, Segment.sequence]
    found = await read_page(session, select(Segment).filter_by(**filters), key, page)
    totals = select(func.sum(SegmentTotal.segments), func.sum(SegmentTotal.frames)).filter_by(**filters)
    count, frames = (await session.execute(totals)).one()
    return found, int(count or 0), timedelta(seconds=int(frames or 0) * FRAME_SECONDS)
