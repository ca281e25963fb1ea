"""Evidence as SigMF: what the specification's own package says of it."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sigmf
from sigmf.sigmffile import fromfile

from bandwatch.errors import AlreadyExistsError, FailedPreconditionError
from bandwatch.wire.convert import to_timestamp
from bandwatch.wire.v1 import incident_pb2 as pb
from bandwatch.wire.v1.spectrum_pb2 import Band, Segment
from operator_console.cli.sigmf_export import FRAME_RATE_HZ, export

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
BAND = Band(name="bands/north", center_hz=881.5e6, width_hz=5e6)
FRAMES = 500


def segment(observer: str, start_s: float) -> Segment:
    return Segment(
        name=f"segments/{observer}.{'0' * 32}.{round(start_s * 10) + 1}",
        observer=f"observers/{observer}",
        start_time=to_timestamp(NOON + timedelta(seconds=start_s)),
        frame_count=FRAMES,
        reference_dbm=-120.0,
    )


def event(observer: str, number: int, start_s: float, end_s: float | None) -> pb.Event:
    box = pb.SpectrumBox(low_hz=881.8e6, high_hz=882.8e6, start_time=to_timestamp(NOON + timedelta(seconds=start_s)))
    if end_s is not None:
        box.end_time.CopyFrom(to_timestamp(NOON + timedelta(seconds=end_s)))
    return pb.Event(
        event_id=f"{number:032x}",
        observer=f"observers/{observer}",
        box=box,
        kind=pb.EVENT_KIND_PARTIAL,
        kind_confidence=0.75,
        severity=pb.SEVERITY_HIGH,
        excess_db=12.5,
    )


def codes_of(name: str) -> bytes:
    return (
        np.random.default_rng(len(name) + int(name.rpartition(".")[2]))
        .integers(0, 256, FRAMES * 128, np.uint8)
        .tobytes()
    )


@pytest.fixture
def sight() -> pb.GetIncidentResponse:
    """Give an incident that two observers saw; the segment before it shows none of it."""
    return pb.GetIncidentResponse(
        incident=pb.Incident(name="incidents/i-1", cell="cells/oak", band=BAND.name),
        events=[event("roof", 1, 0.05, 0.2), event("van", 2, 0.1, None)],
        evidence=[segment("van", 0.0), segment("roof", -0.128), segment("roof", 0.0), segment("roof", 0.128)],
    )


def test_the_recording_keeps_the_specification(tmp_path: Path, sight: pb.GetIncidentResponse) -> None:
    written = export(tmp_path, sight, BAND, codes_of)
    recording = fromfile(str(written))
    recording.validate()
    assert recording.get_global_field("core:datatype") == "ru8"
    assert recording.get_global_field("core:num_channels") == 128
    assert recording.get_global_field("core:sample_rate") == pytest.approx(3906.25)
    assert sigmf.validate.validate(json.loads(written.read_text())) is None


def test_every_segment_is_a_capture_at_its_place_and_every_event_is_annotated_where_it_shows(
    tmp_path: Path, sight: pb.GetIncidentResponse
) -> None:
    described = json.loads(export(tmp_path, sight, BAND, codes_of).read_text())
    captures, annotations = described["captures"], described["annotations"]
    assert [capture["core:sample_start"] for capture in captures] == [0, 500, 1000, 1500]
    assert [capture["bandwatch:observer"] for capture in captures] == ["observers/roof"] * 3 + ["observers/van"]
    assert captures[1]["core:datetime"] == "2026-01-02T12:00:00.000000Z"
    assert {capture["core:frequency"] for capture in captures} == {881.5e6}
    spans = [(note["core:sample_start"], note["core:sample_count"]) for note in annotations]
    first, second, third = round(0.05 * FRAME_RATE_HZ), round((0.2 - 0.128) * FRAME_RATE_HZ), round(0.1 * FRAME_RATE_HZ)
    assert spans == [(500 + first, 500 - first), (1000, second), (1500 + third, 500 - third)]
    assert {note["core:label"] for note in annotations} == {"partial"}
    assert {note["core:generator"] for note in annotations} == {"bandwatch"}
    assert {(note["core:freq_lower_edge"], note["core:freq_upper_edge"]) for note in annotations} == {
        (881.8e6, 882.8e6)
    }
    assert len({uuid.UUID(note["core:uuid"]) for note in annotations}) == 3


def test_the_dataset_is_the_codes_one_segment_after_the_other(tmp_path: Path, sight: pb.GetIncidentResponse) -> None:
    meta = export(tmp_path, sight, BAND, codes_of)
    stored = meta.with_suffix(".sigmf-data").read_bytes()
    names = [capture["bandwatch:segment"] for capture in json.loads(meta.read_text())["captures"]]
    assert stored == b"".join(codes_of(name) for name in names)


def test_nothing_is_overwritten_and_an_incident_without_evidence_says_so(
    tmp_path: Path, sight: pb.GetIncidentResponse
) -> None:
    export(tmp_path, sight, BAND, codes_of)
    with pytest.raises(AlreadyExistsError, match="another folder"):
        export(tmp_path, sight, BAND, codes_of)
    with pytest.raises(FailedPreconditionError, match="no evidence"):
        export(tmp_path, pb.GetIncidentResponse(incident=sight.incident), BAND, codes_of)
