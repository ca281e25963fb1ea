"""Model content on the wire: the same content on both sides, or a sentence that names the part."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given

from bandwatch.artifacts.manifest import ModelContent
from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.content import content_from_message, content_to_message
from bandwatch.wire.v1 import model_pb2
from tests.unit.artifacts.manifests import contents, whole_documents

DIGEST = "0123456789abcdef" * 4


def message() -> model_pb2.ModelContent:
    """Return sound content as a message."""
    blob = model_pb2.BlobReference(digest=DIGEST, size_bytes=24)
    error = model_pb2.ErrorStatistics(mean_db=0, deviation_db=0.25, windows=10)
    threshold = model_pb2.Threshold(false_alarm_rate=0.01, gaussian=0, empirical=3.5, bound=-3.6)
    return model_pb2.ModelContent(
        family="lstm-predictor",
        graph=blob,
        tensors=[model_pb2.Tensor(name="w", shape=[2, 3], blob=blob)],
        frozen_layers=0,
        error=error,
        scores=[model_pb2.ScoreTable(score="error", log_mean=0, log_deviation=1, thresholds=[threshold])],
        default_score="error",
        golden_errors_db=[0],
        candidates=[model_pb2.Candidate(family="linear", error=error)],
    )


@whole_documents
@given(contents)
def test_content_survives_its_message_and_the_wire(content: ModelContent) -> None:
    sent = content_to_message(content).SerializeToString()
    assert content_from_message(model_pb2.ModelContent.FromString(sent)) == content


@whole_documents
@given(contents)
def test_every_field_of_the_message_holds_the_field_of_the_same_name(content: ModelContent) -> None:
    sent = content_to_message(content)
    assert (sent.family, sent.frozen_layers) == (content.family, content.frozen_layers)
    assert (sent.graph.digest, sent.graph.size_bytes) == (content.graph.digest, content.graph.size_bytes)
    assert [(t.name, tuple(t.shape), t.blob.digest) for t in sent.tensors] == [
        (t.name, t.shape, t.blob.digest) for t in content.tensors
    ]
    assert (sent.default_score, sent.choice) == (content.default_score, content.choice)
    for table, whole in zip(sent.scores, content.scores, strict=True):
        assert (table.score, table.log_mean, table.log_deviation) == (whole.score, whole.log_mean, whole.log_deviation)
        assert [(t.false_alarm_rate, t.gaussian, t.empirical, t.bound) for t in table.thresholds] == [
            (t.false_alarm_rate, t.gaussian, t.empirical, t.bound) for t in whole.thresholds
        ]
    assert [(c.family, c.teacher or None, c.error.mean_db) for c in sent.candidates] == [
        (c.family, c.teacher, c.error.mean_db) for c in content.candidates
    ]
    assert tuple(sent.golden_errors_db) == content.golden_errors_db
    assert sent.HasField("parent_error") == (content.parent_error is not None)


def test_zeros_that_the_wire_leaves_out_come_back_as_zeros() -> None:
    content = content_from_message(model_pb2.ModelContent.FromString(message().SerializeToString()))
    assert (content.frozen_layers, content.error.mean_db, content.golden_errors_db) == (0, 0.0, (0.0,))
    assert content.parent_error is None
    assert (content.candidates[0].teacher, content.candidates[0].unadapted_error) == (None, None)
    threshold = content.table_of("error").threshold_for(0.01)
    assert (threshold.gaussian, threshold.empirical, threshold.bound) == (0.0, 3.5, -3.6)


FAULTS: dict[str, tuple[Callable[[model_pb2.ModelContent], object], str]] = {
    "no graph": (lambda m: m.ClearField("graph"), "graph"),
    "no error": (lambda m: m.ClearField("error"), "error"),
    "no tensors": (lambda m: m.ClearField("tensors"), "tensors"),
    "a tensor without its blob": (lambda m: m.tensors[0].ClearField("blob"), "tensors.0.blob"),
    "a tensor of no columns": (lambda m: m.tensors[0].shape.append(0), "tensors.0.shape.2"),
    "no family": (lambda m: m.ClearField("family"), "family"),
    "a digest that is none": (lambda m: setattr(m.graph, "digest", "../x"), "graph.digest"),
    "a blob of 1 GiB": (lambda m: setattr(m.graph, "size_bytes", 1 << 30), "graph.size_bytes"),
    "an error that is no number": (lambda m: setattr(m.error, "mean_db", math.nan), "error.mean_db"),
    "an endless threshold": (
        lambda m: setattr(m.scores[0].thresholds[0], "bound", math.inf),
        "scores.0.thresholds.0.bound",
    ),
    "a rate of one": (
        lambda m: setattr(m.scores[0].thresholds[0], "false_alarm_rate", 1),
        "scores.0.thresholds.0.false_alarm_rate",
    ),
    "no scores": (lambda m: m.ClearField("scores"), "scores"),
    "a score that nobody knows": (lambda m: setattr(m.scores[0], "score", "loudness"), "scores.0.score"),
    "another default": (lambda m: setattr(m, "default_score", "band"), ": .*the default score 'band' has no table"),
    "a candidate without its error": (lambda m: m.candidates[0].ClearField("error"), "candidates.0.error"),
    "an empty parent error": (lambda m: m.parent_error.SetInParent(), "parent_error.windows"),
    "nothing at all": (lambda m: m.Clear(), "family"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_content_that_cannot_be_is_refused_with_the_name_of_the_part(fault: str) -> None:
    break_it, part = FAULTS[fault]
    broken = message()
    break_it(broken)
    with pytest.raises(InvalidArgumentError, match=rf"model content: {part}"):
        content_from_message(broken)
