"""Evidence of an incident as a SigMF recording (specification 1.2): a sample is a frame, a channel is a bin.

The dataset holds half-dB codes as ru8 with 128 channels; each segment is a capture, each part of an event that a
segment shows an annotation. What SigMF has no word for stands in the namespace "bandwatch".
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bandwatch.errors import AlreadyExistsError, FailedPreconditionError, PermissionDeniedError
from bandwatch.spectrogram.bands import FRAME_BINS, FRAME_SECONDS
from bandwatch.wire.convert import to_moment
from bandwatch.wire.v1 import incident_pb2 as pb
from bandwatch.wire.v1.spectrum_pb2 import Band, Segment
from operator_console.cli.texts import word

SIGMF_VERSION: Final = "1.2.5"
GENERATOR: Final = "bandwatch"
FRAME_RATE_HZ: Final = 1 / FRAME_SECONDS

Metadata = dict[str, Any]


def export(folder: Path, sight: pb.GetIncidentResponse, band: Band, read: Callable[[str], bytes]) -> Path:
    """Write an incident's evidence into a folder as NAME.sigmf-data and NAME.sigmf-meta; return the latter.

    Raises:
        FailedPreconditionError: There is no evidence.
        AlreadyExistsError: The files are there already.
        PermissionDeniedError: The folder cannot be written.
    """
    if not sight.evidence:
        raise FailedPreconditionError(f"{sight.incident.name} has no evidence: no segment around it was uploaded yet")
    segments = sorted(sight.evidence, key=lambda segment: (segment.observer, to_moment(segment.start_time)))
    stem = folder / sight.incident.name.partition("/")[2]
    data, meta = stem.with_suffix(".sigmf-data"), stem.with_suffix(".sigmf-meta")
    digest = hashlib.sha512()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with data.open("xb") as file, meta.open("x", encoding="utf-8") as description:
            for segment in segments:
                codes = read(segment.name)
                digest.update(codes)
                file.write(codes)
            described = metadata(sight.incident, sight.events, segments, band, digest.hexdigest())
            json.dump(described, description, indent=2)
    except FileExistsError as error:
        raise AlreadyExistsError(f"{error.filename} exists already; export into another folder") from error
    except OSError as error:
        raise PermissionDeniedError(f"{folder} cannot be written: {error.strerror}") from error
    return meta


def metadata(
    incident: pb.Incident, events: Sequence[pb.Event], segments: Sequence[Segment], band: Band, sha512: str
) -> Metadata:
    """Return the metadata of segments that follow one another in the dataset."""
    captures: list[Metadata] = []
    annotations: list[Metadata] = []
    start = 0
    for segment in segments:
        captures.append(_capture(segment, start, band))
        annotations += [note for event in events for note in _annotations(event, segment, start)]
        start += segment.frame_count
    return {
        "global": _global(incident, band, sha512),
        "captures": captures,
        "annotations": sorted(annotations, key=lambda annotation: annotation["core:sample_start"]),
    }


def _global(incident: pb.Incident, band: Band, sha512: str) -> Metadata:
    return {
        "core:version": SIGMF_VERSION,
        "core:datatype": "ru8",
        "core:num_channels": FRAME_BINS,
        "core:sample_rate": FRAME_RATE_HZ,
        "core:sha512": sha512,
        "core:recorder": GENERATOR,
        "core:description": (
            f"{incident.name} in {incident.cell}: a sample is a frame of {FRAME_BINS} channels, the power in a bin of "
            f"{band.width_hz / FRAME_BINS:.10g} Hz from the lowest frequency on, as code: "
            "dBm = bandwatch:reference_dbm + code / 2"
        ),
        "core:extensions": [{"name": "bandwatch", "version": "1.0.0", "optional": True}],
        "bandwatch:incident": incident.name,
        "bandwatch:cell": incident.cell,
        "bandwatch:band": band.name,
        "bandwatch:bin_hz": band.width_hz / FRAME_BINS,
    }


def _capture(segment: Segment, start: int, band: Band) -> Metadata:
    return {
        "core:sample_start": start,
        "core:frequency": band.center_hz,
        "core:datetime": _moment(to_moment(segment.start_time)),
        "bandwatch:segment": segment.name,
        "bandwatch:observer": segment.observer,
        "bandwatch:reference_dbm": segment.reference_dbm,
    }


def _annotations(event: pb.Event, segment: Segment, start: int) -> list[Metadata]:
    """Return the part of an event that a segment of the same observer shows, if any."""
    if event.observer != segment.observer:
        return []
    begun_at = to_moment(segment.start_time)
    first = max(0, _frames(to_moment(event.box.start_time) - begun_at))
    stop = segment.frame_count
    if event.box.HasField("end_time"):
        stop = min(stop, _frames(to_moment(event.box.end_time) - begun_at))
    if first >= stop:
        return []
    return [
        {
            "core:sample_start": start + first,
            "core:sample_count": stop - first,
            "core:freq_lower_edge": event.box.low_hz,
            "core:freq_upper_edge": event.box.high_hz,
            "core:label": word(pb.EventKind, event.kind),
            "core:generator": GENERATOR,
            "core:uuid": str(uuid.uuid5(uuid.UUID(hex=event.event_id), segment.name)),
            "core:comment": f"{event.excess_db:+.1f} dB against what was predicted, as {event.observer} saw it",
            "bandwatch:event": event.event_id,
            "bandwatch:kind_confidence": event.kind_confidence,
            "bandwatch:severity": word(pb.Severity, event.severity),
        }
    ]


def _frames(span: timedelta) -> int:
    return round(span.total_seconds() * FRAME_RATE_HZ)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
