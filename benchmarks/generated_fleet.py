"""A registry full of generated rows: the fleet of some months, made inside PostgreSQL, the same for the same size.

Segments lie in the table in the order in which a fleet would send them, the newest of all observers last, so that what
belongs to one cell or observer is spread over the whole table, as it is in life.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy.engine import URL

from bandwatch.artifacts.manifest import (
    ErrorStatistics,
    ModelContent,
    ScoreTable,
    Threshold,
)
from coordinator.registry import schema

CHUNK: Final = 1_000_000
"""Rows of one statement, so that progress can be told."""
STATISTICS_SPANS: Final = 10
"""Spans of a minute that are kept of each observer; some end while the questions are asked, so that all are present."""
STUDENT_SEGMENTS: Final = 75
"""Segments of 4 s that make the 5 minutes of a student."""


@dataclass(frozen=True)
class FleetSize:
    """How many rows there are to be; what is not named follows from these."""

    segments: int
    observers: int
    cells: int
    bands: int

    @property
    def rounds(self) -> int:
        """Segments of each observer."""
        return self.segments // self.observers

    @property
    def numbers(self) -> dict[str, int]:
        """Return what the statements are filled with."""
        return {
            "observers": self.observers,
            "cells": self.cells,
            "bands": self.bands,
            "rounds": self.rounds,
            "segments": self.rounds * self.observers,
            "incidents": max(10, self.segments // 1000),
            "spans": STATISTICS_SPANS,
            "of_student": min(STUDENT_SEGMENTS, self.rounds),
        }


_FUNCTIONS: Final = (
    # Evenly spread over [0, 1), the same for the same number and salt.
    (
        "CREATE FUNCTION chance(number bigint, salt integer) RETURNS float8 LANGUAGE sql IMMUTABLE AS "
        "'SELECT (hashint8extended(number, salt) & 1048575) / 1048576.0'"
    ),
    (
        "CREATE FUNCTION observer_name(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS "
        "$$SELECT 'o-' || lpad(number::text, 6, '0')$$"
    ),
    (
        "CREATE FUNCTION cell_name(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS "
        "$$SELECT 'c-' || lpad(number::text, 6, '0')$$"
    ),
    (
        "CREATE FUNCTION band_name(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS "
        "$$SELECT 'b-' || lpad(number::text, 3, '0')$$"
    ),
)
_FORGET_FUNCTIONS: Final = (
    "DROP FUNCTION chance(bigint, integer), observer_name(bigint), cell_name(bigint), band_name(bigint)"
)

_STEPS: Final = (
    (
        "bands",
        """INSERT INTO bands (id, title, center_hz, width_hz, direction)
        SELECT band_name(i), 'Band ' || i, 7e8 + i * 5e6, 5e6, 'downlink' FROM generate_series(0, {bands} - 1) i""",
    ),
    (
        "cells",
        """INSERT INTO cells (id, title, band_id, latitude_deg, longitude_deg, radius_m)
        SELECT cell_name(i), 'Cell ' || i, band_name(i % {bands}), 40 + 10 * chance(i, 1), 10 * chance(i, 2), 2000
        FROM generate_series(0, {cells} - 1) i""",
    ),
    (
        "observers",
        """INSERT INTO observers (id, title, cell_id, mobility, training_target, trust, upload_budget_bytes, revision,
            last_sync_at, reported)
        SELECT observer_name(i), 'Observer ' || i, cell_name(i % {cells}),
            (ARRAY['static', 'walking', 'driving'])[1 + floor(1.25 * chance(i, 3))::integer], interval '5 minutes',
            CASE WHEN chance(i, 4) < 0.9 THEN 'trusted' WHEN chance(i, 4) < 0.98 THEN 'probation' ELSE 'revoked' END,
            0, 1, now() - interval '60 s' * chance(i, 5),
            jsonb_build_object('agent_version', '0.1.0', 'applied_revision', '1', 'windows_scored', '1000000',
                'running_serial', ({bands} + 1 + i % {cells})::text, 'cell', 'cells/' || cell_name(i % {cells}))
        FROM generate_series(0, {observers} - 1) i""",
    ),
    (
        "certificates",
        """INSERT INTO certificates (serial, member, fingerprint, authority, expires_at)
        SELECT md5('certificate ' || i), 'observers/' || observer_name(i), md5('f' || i) || md5('g' || i),
            md5('authority') || md5('authority 2'), now() + interval '30 days'
        FROM generate_series(0, {observers} - 1) i""",
    ),
    (
        "observer_health",
        """INSERT INTO observer_health (observer_id, cell_id, finding, reason, since_at)
        SELECT observer_name(i), cell_name(i % {cells}),
            CASE WHEN chance(i, 6) < 0.002 THEN 'sensor_fault' ELSE 'good' END, '', now() - interval '3 days'
        FROM generate_series(0, {observers} - 1) i""",
    ),
    (
        "segments",
        """INSERT INTO segments (observer_id, boot_id, sequence, cell_id, start_at, clock_error, frame_count,
            reference_dbm, purpose, context, clipped_share, lost_samples, noise_only, gain_db, gain_changed,
            self_test_id, scored_by_serial, anomalous_windows, codes_digest, stored_at)
        SELECT observer_name(o), md5('boot ' || o), r + 1, cell_name(o % {cells}), start_at, interval '20 ms', 15625,
            -120.0, (ARRAY['training', 'training', 'training', 'training', 'evidence', 'routine'])
                [1 + floor(6 * chance(k, 7))::integer],
            '{{"position": {{"latitude_deg": 45.1234567, "longitude_deg": 7.1234567, "accuracy_m": 4.0}}}}',
            CASE WHEN chance(k, 8) < 0.02 THEN 0.2 ELSE 0.001 END, CASE WHEN chance(k, 9) < 0.01 THEN 512 ELSE 0 END,
            chance(k, 10) < 0.01, 30.0, chance(k, 11) < 0.01, NULL, {bands} + 1 + o % {cells},
            CASE WHEN chance(k, 12) < 0.05 THEN 200 ELSE 3 END, md5('codes ' || k) || md5('of ' || k),
            start_at + interval '1 minute'
        FROM (
            SELECT k, k / {observers} AS r, (k * 7919 + k / {observers} * 31) % {observers} AS o,
                now() - interval '30 days' * (1 - (k + chance(k, 13)) / {segments}.0) AS start_at
            FROM generate_series({from_row}::bigint, {to_row}::bigint) k
        ) numbered""",
    ),
    (
        "statistics",
        """INSERT INTO statistics (observer_id, boot_id, sequence, cell_id, start_at, duration, end_at, frames,
            power_dbm, noise_floor_dbm, clipped_share, lost_samples, noise_only_share, compared_windows,
            difference_sum_db, difference_square_sum_db2)
        SELECT observer_name(o), md5('boot ' || o), s, cell_name(o % {cells}), now() + interval '1 minute' * (6 - s),
            interval '60 s', now() + interval '1 minute' * (7 - s), 234375, -80, -120 + chance(o, 14), 0.001, 0, 0, 0,
            0, 0
        FROM generate_series(1, {spans}) s, generate_series(0, {observers} - 1) o""",
    ),
    (
        "statistics_scores",
        """INSERT INTO statistics_scores (observer_id, boot_id, sequence, serial, shadow, windows, anomalous_windows,
            unscored_windows, error_sum_db, error_square_sum_db2, false_alarm_rate, scoring_duration)
        SELECT observer_id, boot_id, sequence, {bands} + 1 + substr(observer_id, 3)::bigint % {cells}, false, 9375, 90,
            0, 9375 * 2.5, 9375 * 6.3, 0.01, interval '1.5 s' FROM statistics""",
    ),
    (
        "incidents",
        """INSERT INTO incidents (id, band_id, cell_id, state, low_hz, high_hz, start_at, end_at, kind,
            kind_confidence, severity, event_count, peak_value, muted, acknowledged_by, verdict, note, created_at)
        SELECT 'i-' || lpad(i::text, 8, '0'), band_name(c % {bands}), cell_name(c),
            CASE WHEN open THEN 'open' ELSE 'ended' END, 7e8, 7.002e8, start_at,
            CASE WHEN NOT open THEN start_at + interval '1 minute' END, 'narrowband', 0.9, 'medium', 3, 9.0, false, '',
            (ARRAY['true', 'true', 'known', 'false', NULL])[1 + floor(5 * chance(i, 15))::integer], '', start_at
        FROM (
            SELECT i, i * 7 % {cells} AS c, i > {incidents} * 0.999 AS open,
                now() - interval '30 days' * (1 - (i + chance(i, 16)) / {incidents}.0) AS start_at
            FROM generate_series(0, {incidents} - 1) i
        ) numbered""",
    ),
    (
        "events",
        """INSERT INTO events (observer_id, id, boot_id, sequence, incident_id, cell_id, low_hz, high_hz, start_at,
            end_at, kind, kind_confidence, severity, windows, anomalous_windows, score, peak_value, threshold, serial,
            excess_db, first_reported_at, reported_at)
        SELECT observer_name((i * 7 % {cells} + seen * {cells}) % {observers}), 'e-' || i || '-' || seen,
            md5('boot'), i, incidents.id, cell_id, low_hz, high_hz, incidents.start_at, incidents.end_at, 'narrowband',
            0.9, 'medium', 900, 700, 'combined', 9.0, 3.0, 1, 6.0, incidents.start_at, incidents.start_at
        FROM incidents, substr(incidents.id, 3) AS digits, CAST(digits AS bigint) AS i, generate_series(0, 2) seen""",
    ),
    (
        "training_runs",
        """INSERT INTO training_runs (id, kind, "order", release_on_success, seed, state, attempts, fence, model_id,
            segment_count, policy_id, stages, created_at, started_at, ended_at, published_at)
        SELECT 'r-' || i, CASE WHEN teacher THEN 'teacher' ELSE 'student' END,
            CASE WHEN teacher
                THEN jsonb_build_object('band_id', band_name(i), 'cell_ids', '[]'::jsonb, 'max_epochs', 20,
                    'stride_frames', 25)
                ELSE jsonb_build_object('cell_id', cell_name(i - {bands}), 'teacher_ids', '[]'::jsonb,
                    'frozen_layers', 2, 'max_epochs', 20, 'stride_frames', 25, 'teachers_found', true) END,
            true, 0, 'succeeded', 1, 1, 'm-' || i, {of_student}, CASE WHEN NOT teacher THEN 'every-band' END,
            CASE WHEN chance(i, 18) < 0.99 THEN '{{"running everywhere": "2026-01-01"}}'::jsonb ELSE '{{}}' END,
            ended_at - interval '10 minutes', ended_at - interval '9 minutes', ended_at, ended_at
        FROM (
            SELECT i, i < {bands} AS teacher, now() - interval '26 hours' * chance(i, 17) AS ended_at
            FROM generate_series(0, {bands} + {cells} - 1) i
        ) numbered""",
    ),
    (
        "run_segments",
        """INSERT INTO run_segments (run_id, position, observer_id, boot_id, sequence)
        SELECT 'r-' || i, p, observer_name(o), md5('boot ' || o), {rounds} - p / per_cell
        FROM generate_series(0, {bands} + {cells} - 1) i, generate_series(0, {of_student} - 1) p,
            LATERAL (SELECT greatest(1, {observers} / {cells}) AS per_cell) cell,
            LATERAL (SELECT (i % {cells} + p % per_cell * {cells})::bigint % {observers} AS o) chosen""",
    ),
    (
        "models",
        """INSERT INTO models (id, band_id, cell_id, parent_id, run_id, content, created_at)
        SELECT 'm-' || i, band_name((CASE WHEN teacher THEN i ELSE i - {bands} END) % {bands}),
            CASE WHEN NOT teacher THEN cell_name(i - {bands}) END,
            CASE WHEN NOT teacher THEN 'm-' || (i - {bands}) % {bands} END, 'r-' || i, (SELECT content FROM made),
            ended_at
        FROM (SELECT kind = 'teacher' AS teacher, substr(id, 3)::bigint AS i, ended_at FROM training_runs) run""",
    ),
    (
        "releases",
        """INSERT INTO releases (serial, model_id, band_id, cell_id, state, plan, reason, manifest_digest,
            manifest_bytes, active_at)
        SELECT 1 + substr(id, 3)::bigint, id, band_id, cell_id, 'active', '{{}}', '', md5(id) || md5(id), 2000, now()
        FROM models""",
    ),
    (
        "policies",
        """INSERT INTO policies (id, band_id, enabled, student_data, student_lifetime, refit_on_drift, frozen_layers,
            max_epochs, stride_frames, remark)
        SELECT 'p-' || i, band_name(i), true, interval '5 minutes', interval '24 hours', true, 2, 20, 25, ''
        FROM generate_series(0, {bands} - 1) i""",
    ),
)
_IN_CHUNKS: Final = "segments"
_BUILT_LATER: Final = ("segments", "statistics", "statistics_scores", "run_segments", "events")
"""Tables whose indexes are built once they are full, which is many times faster."""


def fill(url: URL, size: FleetSize, tell: Callable[[str], None] = lambda _: None) -> None:
    """Bring an empty database to the newest schema and fill it; `tell` hears of each step once it is done."""
    schema.migrate(url)
    numbers = size.numbers
    with _connect(url) as connection:
        for function in _FUNCTIONS:
            connection.execute(function)
        connection.execute("CREATE TEMPORARY TABLE made AS SELECT %s AS content", [Jsonb(_content())])
        with _indexes_later(connection, tell):
            for table, statement in _STEPS:
                for begin, end in _chunks(numbers["segments"] if table == _IN_CHUNKS else 1):
                    begin_s = time.perf_counter()
                    text = statement.format(**numbers, from_row=begin, to_row=end - 1)
                    count = connection.execute(text.encode()).rowcount
                    tell(f"{table}: {count:,} rows in {time.perf_counter() - begin_s:.1f} s")
        connection.execute(_FORGET_FUNCTIONS)
        begin_s = time.perf_counter()
        connection.execute("VACUUM ANALYZE")
        tell(f"vacuum and statistics of the planner: {time.perf_counter() - begin_s:.1f} s")


def table_bytes(url: URL) -> dict[str, tuple[int, int]]:
    """Return of each table how many rows it has, and how many bytes these take with their indexes."""
    with _connect(url) as connection:
        rows = connection.execute(
            "SELECT relname, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {str(name): (int(count), int(size)) for name, count, size in rows}


def _connect(url: URL) -> "psycopg.Connection[tuple[Any, ...]]":
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, rows, CHUNK):
        yield begin, min(rows, begin + CHUNK)


@contextmanager
def _indexes_later(connection: "psycopg.Connection[tuple[Any, ...]]", tell: Callable[[str], None]) -> Iterator[None]:
    """Take foreign keys, keys and indexes of the large tables away while the block runs, and make them again after."""
    names = list(_BUILT_LATER)
    constraints = connection.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid::regclass::text = ANY(%s) AND contype IN ('p', 'f') ORDER BY contype = 'p', conname",
        [names],
    ).fetchall()
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
        "WHERE indrelid::regclass::text = ANY(%s) AND NOT indisprimary",
        [names],
    ).fetchall()
    for table, name, _ in constraints:
        connection.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(sql.Identifier(str(table)), sql.Identifier(str(name)))
        )
    for name, _ in indexes:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(str(name))))
    yield
    begin_s = time.perf_counter()
    for table, name, definition in reversed(constraints):
        connection.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'.encode())
    for _, definition in indexes:
        connection.execute(str(definition).encode())
    tell(f"keys and indexes of {', '.join(names)}: {time.perf_counter() - begin_s:.1f} s")


def _content() -> dict[str, object]:
    """Return what a run made, of the size that real contents have."""
    blob = {"digest": "0" * 64, "size_bytes": 100_000}
    thresholds = tuple(
        Threshold(false_alarm_rate=rate, gaussian=3.0, empirical=3.1, bound=3.2) for rate in (0.001, 0.01, 0.05)
    )
    content = ModelContent.model_validate(
        {
            "family": "lstm-predictor",
            "graph": blob,
            "tensors": [{"name": f"layer{number}.weight", "shape": [64, 64], "blob": blob} for number in range(10)],
            "frozen_layers": 2,
            "error": ErrorStatistics(mean_db=2.5, deviation_db=0.2, windows=1000),
            "scores": [ScoreTable(score="error", log_mean=0.9, log_deviation=0.1, thresholds=thresholds)],
            "default_score": "error",
            "golden_errors_db": [1.0, 2.0],
        }
    )
    return content.model_dump(mode="json")
