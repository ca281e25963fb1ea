"""Segments and anomalies for the tests of the spool."""

from datetime import UTC, datetime
from hashlib import sha256

import numpy as np

from observer_agent.spool.records import AnomalyRecord, Purpose, SegmentRecord

CELL = "cells/oak-street"


def make_segment(
    seed: int, *, frames: int = 125, purpose: Purpose = Purpose.TRAINING, cell: str = CELL
) -> tuple[SegmentRecord, bytes]:
    """Return a segment of random codes."""
    codes = np.random.default_rng(seed).integers(0, 256, (frames, 128), dtype=np.uint8).tobytes()
    record = SegmentRecord(
        cell=cell,
        start_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        clock_error_s=0.25,
        frame_count=frames,
        reference_dbm=-120.0,
        purpose=purpose,
        mobility="walking",
        clipped_share=0.125,
        noise_only=True,
        gain_db=None,
        scored_by_serial=7,
        anomalous_windows=3,
        codes_digest=sha256(codes).hexdigest(),
    )
    return record, codes


def make_anomaly(cell: str = CELL) -> AnomalyRecord:
    """Return an anomaly."""
    return AnomalyRecord(
        cell=cell,
        window_start_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        window_frames=125,
        error_db=4.5,
        score="band",
        value=9.5,
        threshold=6.25,
        false_alarm_rate=0.01,
        model="models/m7",
        serial=7,
    )
