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
    return model_pb2.ModelContent(
        family="lstm-predictor",
        graph=blob,
        tensors=[model_pb2.Tensor(name="w", shape=[2, 3], blob=blob)],
        frozen_layers=0,
        error=model_pb2.ErrorStatistics(mean_db=0, deviation_db=0.25, windows=10),
        thresholds=[model_pb2.Threshold(false_alarm_rate=0.01, gaussian_db=3, empirical_db=3.5)],
        golden_errors_db=[0],
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
    assert [(t.false_alarm_rate, t.gaussian_db, t.empirical_db) for t in sent.thresholds] == [
        (t.false_alarm_rate, t.gaussian_db, t.empirical_db) for t in content.thresholds
    ]
    assert tuple(sent.golden_errors_db) == content.golden_errors_db
    assert sent.HasField("parent_error") == (content.parent_error is not None)


def test_zeros_that_the_wire_leaves_out_come_back_as_zeros() -> None:
    content = content_from_message(model_pb2.ModelContent.FromString(message().SerializeToString()))
    assert (content.frozen_layers, content.error.mean_db, content.golden_errors_db) == (0, 0.0, (0.0,))
    assert content.parent_error is None


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
    "an endless threshold": (lambda m: setattr(m.thresholds[0], "gaussian_db", math.inf), "thresholds.0.gaussian_db"),
    "a rate of one": (lambda m: setattr(m.thresholds[0], "false_alarm_rate", 1), "thresholds.0.false_alarm_rate"),
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
