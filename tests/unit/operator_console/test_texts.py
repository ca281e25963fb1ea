"""Values as people read them."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bandwatch.wire.v1.model_pb2 import TrainingRunState
from bandwatch.wire.v1.spectrum_pb2 import LinkDirection, Mobility, Purpose
from operator_console.cli.texts import moment, number, span, word


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Mobility, ["static", "walking", "driving"]),
        (Purpose, ["evidence", "training", "routine"]),
        (LinkDirection, ["downlink", "uplink"]),
        (TrainingRunState, ["queued", "running", "succeeded", "failed", "cancelled"]),
    ],
)
def test_the_words_that_options_take_are_those_of_the_contract(kind: Any, words: list[str]) -> None:
    assert [word(kind, value) for value in kind.values()] == ["", *words]
    assert [number(kind, one) for one in [None, *words]] == kind.values()


def test_a_value_of_a_newer_contract_is_shown_as_its_number() -> None:
    assert word(Mobility, Mobility.ValueType(99)) == "99"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (25.6, "25.6s"), (60, "1m 0s"), (3599.6, "1h 0m 0s"), (3905, "1h 5m 5s")]
)
def test_a_span_reads_in_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_a_moment_that_was_never_set_is_empty() -> None:
    assert moment(Timestamp()) == ""
    assert moment(Timestamp(seconds=1_772_366_400)) == "2026-03-01 12:00:00Z"
