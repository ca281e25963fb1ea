"""Segments as an honest observer would send them."""

import hashlib
from datetime import UTC, datetime, timedelta

import numpy as np

from bandwatch.spectrogram.bands import FRAME_BINS
from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1.observer_service_pb2 import UploadSegmentsRequest
from bandwatch.wire.v1.spectrum_pb2 import PURPOSE_TRAINING, Origin, ReceptionQuality, Segment

BOOT = "0123456789abcdef" * 2


def upload(sequence: int, *, frames: int = 500, boot: str = BOOT, **changes: object) -> UploadSegmentsRequest:
    """Return a segment of observer roof in cell oak with noise in it; `changes` replace fields of the segment."""
    codes = np.random.default_rng(sequence).integers(0, 255, (frames, FRAME_BINS), np.uint8).tobytes()
    fields: dict[str, object] = {
        "observer": "observers/roof",
        "origin": Origin(boot_id=boot, sequence=sequence),
        "cell": "cells/oak",
        "start_time": to_timestamp(datetime.now(UTC) - timedelta(seconds=60)),
        "frame_count": frames,
        "reference_dbm": -120.0,
        "purpose": PURPOSE_TRAINING,
        "quality": ReceptionQuality(),
        "codes_digest": hashlib.sha256(codes).hexdigest(),
        **changes,
    }
    return UploadSegmentsRequest(segment=Segment(**fields), codes=codes)  # type: ignore[arg-type] # fields of many types
