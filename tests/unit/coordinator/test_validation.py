"""The contract's rules, as they are felt by who breaks them."""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.v1 import (
    admin_service_pb2,
    model_pb2,
    observer_service_pb2,
    spectrum_pb2,
    training_service_pb2,
)
from coordinator.rpc.validation import first_problem, require_valid


def segment() -> spectrum_pb2.Segment:
    """Return a segment that keeps every rule."""
    return spectrum_pb2.Segment(
        observer="observers/roof",
        origin=spectrum_pb2.Origin(boot_id="0" * 32, sequence=1),
        cell="cells/oak",
        start_time=Timestamp(seconds=1_700_000_000),
        frame_count=125,
        purpose=spectrum_pb2.PURPOSE_TRAINING,
        quality=spectrum_pb2.ReceptionQuality(),
        codes_digest="0" * 64,
    )


def test_a_message_that_keeps_the_contract_passes() -> None:
    assert first_problem(segment()) is None
    require_valid(segment())


BROKEN: dict[str, Callable[[spectrum_pb2.Segment], object]] = {
    "origin": lambda s: s.ClearField("origin"),
    "origin.boot_id": lambda s: setattr(s.origin, "boot_id", "0" * 31),
    "origin.sequence": lambda s: setattr(s.origin, "sequence", 2**63),
    "observer": lambda s: setattr(s, "observer", "roof"),
    "cell": lambda s: setattr(s, "cell", "cells/Oak"),
    "start_time": lambda s: s.start_time.FromSeconds(946_684_799),
    "clock_error": lambda s: s.clock_error.FromSeconds(-1),
    "frame_count": lambda s: setattr(s, "frame_count", 124),
    "reference_dbm": lambda s: setattr(s, "reference_dbm", math.nan),
    "purpose": lambda s: s.ClearField("purpose"),
    "context.speed_mps": lambda s: setattr(s.context, "speed_mps", -1),
    "context.mobility": lambda s: setattr(s.context, "mobility", 9),
    "quality": lambda s: s.ClearField("quality"),
    "quality.clipped_share": lambda s: setattr(s.quality, "clipped_share", math.nan),
    "quality.gain_db": lambda s: setattr(s.quality, "gain_db", math.inf),
    "scored_by_serial": lambda s: setattr(s, "scored_by_serial", -1),
    "codes_digest": lambda s: setattr(s, "codes_digest", "0" * 63 + "G"),
}


@pytest.mark.parametrize("path", BROKEN)
def test_a_broken_rule_is_told_with_the_path_of_its_field(path: str) -> None:
    message = segment()
    BROKEN[path](message)
    problem = first_problem(message)
    assert problem is not None
    assert problem.startswith(f"{path}: ")
    with pytest.raises(InvalidArgumentError, match=f"^{path}: ."):
        require_valid(message)


def anomaly(**changes: Any) -> spectrum_pb2.Anomaly:
    """Return an anomaly, which keeps every rule unless something is changed."""
    fields: dict[str, Any] = {
        "origin": spectrum_pb2.Origin(boot_id="0" * 32, sequence=1),
        "cell": "cells/oak",
        "window_start_time": Timestamp(seconds=1_700_000_000),
        "window_duration": {"nanos": 32_000_000},
        "error_db": 4.0,
        "score": "combined",
        "value": 2e6,
        "threshold": -1.5,
        "false_alarm_rate": 0.01,
        "model": "models/m",
        "serial": 1,
    }
    return spectrum_pb2.Anomaly(**fields | changes)


def student(**changes: Any) -> model_pb2.StudentSpec:
    """Return the order of a student, which keeps every rule unless something is changed."""
    fields: dict[str, Any] = {"cell": "cells/oak", "max_epochs": 1, "stride_frames": 25}
    return model_pb2.StudentSpec(**fields | changes)


def table(**changes: Any) -> model_pb2.ScoreTable:
    """Return the table of a score, which keeps every rule unless something is changed."""
    threshold = model_pb2.Threshold(false_alarm_rate=0.01, gaussian=-1, empirical=0, bound=1)
    fields: dict[str, Any] = {"score": "band", "log_mean": -1, "log_deviation": 0.5, "thresholds": [threshold]}
    return model_pb2.ScoreTable(**fields | changes)


def finish(parent: str) -> training_service_pb2.FinishRunRequest:
    """Return what a worker says at the end of a run."""
    blob = model_pb2.BlobReference(digest="0" * 64, size_bytes=4)
    content = model_pb2.ModelContent(
        family="linear",
        graph=blob,
        tensors=[model_pb2.Tensor(name="w", shape=[1], blob=blob)],
        error=ERROR,
        scores=[table()],
        default_score="band",
        golden_errors_db=[1.0],
    )
    lease = training_service_pb2.Lease(run="runs/r", fence=1)
    return training_service_pb2.FinishRunRequest(lease=lease, content=content, parent=parent)


ERROR = model_pb2.ErrorStatistics(mean_db=1, windows=1)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (anomaly(), None),
        (anomaly(score=""), "score"),
        (anomaly(score="loudness"), "score"),
        (anomaly(value=math.inf), "value"),
        (anomaly(threshold=math.nan), "threshold"),
        (anomaly(error_db=-1), "error_db"),
        (student(), None),
        (student(teachers=[f"models/m{number}" for number in range(16)], families=["linear"]), None),
        (student(teachers=[f"models/m{number}" for number in range(17)]), "teachers"),
        (student(teachers=["models/m", "models/m"]), "teachers"),
        (student(teachers=["cells/oak"]), "teachers"),
        (student(families=["Linear"]), "families"),
        (student(families=[""]), "families"),
        (model_pb2.TeacherSpec(band="bands/b", max_epochs=1, stride_frames=1, family="autoencoder", layers=6), None),
        (model_pb2.TeacherSpec(band="bands/b", max_epochs=1, stride_frames=1, family="A B"), "family"),
        (model_pb2.TeacherSpec(band="bands/b", max_epochs=1, stride_frames=1, layers=65), "layers"),
        (table(), None),
        (table(score="loudness"), "score"),
        (table(log_deviation=0), "log_deviation"),
        (table(thresholds=[]), "thresholds"),
        (model_pb2.Candidate(family="linear", error=ERROR), None),
        (model_pb2.Candidate(family="hybrid", teacher="models/m", error=ERROR, unadapted_error=ERROR), None),
        (model_pb2.Candidate(family="hybrid", teacher="m", error=ERROR), "teacher"),
        (model_pb2.Candidate(family="linear"), "error"),
        (finish("models/m"), None),
        (finish(""), None),
        (finish("oak"), "parent"),
    ],
)
def test_scores_families_and_teachers_keep_their_rules(message: Message, path: str | None) -> None:
    problem = first_problem(message)
    assert (problem is None) if path is None else (problem is not None and problem.startswith(f"{path}: ")), problem


def test_a_choice_that_was_not_made_is_told_by_its_name() -> None:
    problem = first_problem(admin_service_pb2.CreateTrainingRunRequest(run=model_pb2.TrainingRun()))
    assert problem is not None
    assert problem.startswith("run.spec: ")


def test_one_problem_of_several_is_enough() -> None:
    message = segment()
    message.frame_count, message.codes_digest = 1, ""
    problem = first_problem(message)
    assert problem is not None
    assert "\n" not in problem


def test_anomalies_of_one_report_are_left_to_be_judged_alone() -> None:
    report = observer_service_pb2.ReportAnomaliesRequest(anomalies=[spectrum_pb2.Anomaly()])
    assert first_problem(report) is None
    assert first_problem(report.anomalies[0]) is not None
    assert first_problem(observer_service_pb2.ReportAnomaliesRequest()) is not None


RESOURCES: list[tuple[names.Collection, Callable[[str], Message]]] = [
    (names.bands, lambda name: spectrum_pb2.Cell(band=name)),
    (names.observers, lambda name: admin_service_pb2.GetObserverRequest(name=name)),
    (names.models, lambda name: admin_service_pb2.GetModelRequest(name=name)),
    (names.runs, lambda name: admin_service_pb2.GetTrainingRunRequest(name=name)),
]


@given(
    st.sampled_from(RESOURCES),
    st.from_regex(r"[a-z0-9-]{1,66}", fullmatch=True) | st.text("abz09-A/_.\n\0é", max_size=6),
)
def test_the_contract_and_the_parser_of_names_agree(
    resource: tuple[names.Collection, Callable[[str], Message]], identifier: str
) -> None:
    collection, message = resource
    name = f"{collection.word}/{identifier}"
    parsed = None
    with suppress(InvalidArgumentError):
        parsed = collection.id(name)
    assert (first_problem(message(name)) is None) == (parsed is not None)
