"""Manifests: one text for one statement, and nothing else is believed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bandwatch.artifacts.manifest import (
    LARGEST_MANIFEST_BYTES,
    ErrorStatistics,
    Manifest,
    ModelContent,
    ScoreTable,
    Threshold,
)
from bandwatch.errors import CorruptError, InvalidArgumentError
from tests.unit.artifacts.manifests import contents, manifests, tables, thresholds, whole_documents

DIGEST = "0123456789abcdef" * 4
STATISTICS = {"mean_db": 2.5, "deviation_db": 0.25, "windows": 10}


def plain() -> dict[str, Any]:
    """Return a small manifest as the JSON that it stands for."""
    return {
        "format": "bandwatch.manifest/2",
        "serial": 7,
        "model": "models/m7",
        "band": "bands/north",
        "cell": "cells/oak",
        "parent": None,
        "run": "runs/r",
        "content": {
            "family": "lstm-predictor",
            "graph": {"digest": DIGEST, "size_bytes": 1},
            "tensors": [{"name": "w", "shape": [2, 3], "blob": {"digest": DIGEST, "size_bytes": 24}}],
            "frozen_layers": 2,
            "error": STATISTICS,
            "scores": [table("error"), table("combined") | {"log_mean": 0.0, "log_deviation": 1.0}],
            "default_score": "combined",
            "golden_errors_db": [1.0],
            "parent_error": None,
            "candidates": [
                {"family": "linear", "teacher": None, "error": STATISTICS, "unadapted_error": None},
                {"family": "hybrid", "teacher": "models/t", "error": STATISTICS, "unadapted_error": STATISTICS},
            ],
            "choice": "the least error",
        },
        "created_at": "2026-01-02T03:04:05Z",
    }


def table(score: str) -> dict[str, Any]:
    """Return a score with one threshold as JSON."""
    threshold = {"false_alarm_rate": 0.01, "gaussian": 3.0, "empirical": 3.5, "bound": 3.6}
    return {"score": score, "log_mean": 1.0, "log_deviation": 0.1, "thresholds": [threshold]}


def first_edition() -> dict[str, Any]:
    """Return a small manifest of the time when the error was the only score."""
    parts = plain() | {"format": "bandwatch.manifest/1"}
    for later in ("scores", "default_score", "candidates", "choice"):
        del parts["content"][later]
    parts["content"]["thresholds"] = [{"false_alarm_rate": 0.01, "gaussian_db": 3.0, "empirical_db": 3.5}]
    return parts


def written(change: Callable[[dict[str, Any]], object], edition: Callable[[], dict[str, Any]] | None = None) -> bytes:
    """Return the JSON of the small manifest, or of another one, after a change."""
    parts = (edition or plain)()
    change(parts)
    return json.dumps(parts).encode()


@whole_documents
@given(manifests)
def test_a_manifest_survives_its_bytes(manifest: Manifest) -> None:
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_canonical_bytes_are_json_with_sorted_keys_and_no_spaces_in_utf_8() -> None:
    parts = plain() | {"cell": "cells/Jūra 🌊"}
    textbook = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert Manifest.model_validate(parts).to_bytes() == textbook


@whole_documents
@given(manifests, st.randoms())
def test_the_order_of_keys_spaces_and_escapes_do_not_change_the_canonical_bytes(
    manifest: Manifest, random: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            random.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    other_text = json.dumps(shuffled(json.loads(manifest.to_bytes())), indent=2).encode()
    assert Manifest.from_bytes(other_text).to_bytes() == manifest.to_bytes()


@given(moment=st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), minutes=st.integers(-1439, 1439))  # noqa: DTZ001 - a naive moment, to be placed in a zone
def test_one_moment_is_written_alike_from_every_time_zone(moment: datetime, minutes: int) -> None:
    here = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    first, second = (Manifest.model_validate(plain() | {"created_at": at}) for at in (here, here.astimezone(UTC)))
    assert first == second
    assert first.to_bytes() == second.to_bytes()


def threshold_in(parts: dict[str, Any]) -> dict[str, Any]:
    """Return a threshold of the small manifest, to be changed in place."""
    found: dict[str, Any] = parts["content"]["scores"][0]["thresholds"][0]
    return found


REFUSED: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown field": lambda parts: parts.update(validity="forever"),
    "an unknown field inside": lambda parts: parts["content"]["graph"].update(url="elsewhere"),
    "another format": lambda parts: parts.update(format="bandwatch.manifest/3"),
    "a field too few": lambda parts: parts.pop("serial"),
    "no number where one belongs": lambda parts: parts.update(serial="seven"),
    "serial zero": lambda parts: parts.update(serial=0),
    "NaN among the errors": lambda parts: parts["content"].update(error={**STATISTICS, "mean_db": float("nan")}),
    "NaN in words": lambda parts: parts["content"].update(golden_errors_db=["NaN"]),
    "NaN as a rate": lambda parts: threshold_in(parts).update(false_alarm_rate=float("nan")),
    "an infinite threshold": lambda parts: threshold_in(parts).update(empirical=float("inf")),
    "a threshold without its bound": lambda parts: threshold_in(parts).pop("bound"),
    "a score that nobody knows": lambda parts: parts["content"]["scores"][0].update(score="loudness"),
    "two tables of one score": lambda parts: parts["content"]["scores"].append(table("error")),
    "a default without its table": lambda parts: parts["content"].update(default_score="band"),
    "nothing to combine": lambda parts: parts["content"]["scores"].pop(0),
    "no scores": lambda parts: parts["content"].update(scores=[]),
    "no spread": lambda parts: parts["content"]["scores"][0].update(log_deviation=0.0),
    "thresholds of both editions": lambda parts: parts["content"].update(thresholds=[]),
    "a candidate without its error": lambda parts: parts["content"]["candidates"][0].pop("error"),
    "a digest with a path in it": lambda parts: parts["content"]["graph"].update(digest="../" + DIGEST[3:]),
    "a digest and a line more": lambda parts: parts["content"]["graph"].update(digest=DIGEST + "\n"),
    "a blob of 1 GiB": lambda parts: parts["content"]["graph"].update(size_bytes=1 << 30),
    "no tensors": lambda parts: parts["content"].update(tensors=[]),
    "a tensor of no columns": lambda parts: parts["content"]["tensors"][0].update(shape=[2, 0]),
    "a moment without a time zone": lambda parts: parts.update(created_at="2026-01-02T03:04:05"),
    "a moment before the calendar": lambda parts: parts.update(created_at="0001-01-01T00:00:00+14:00"),
    "a moment after the calendar": lambda parts: parts.update(created_at="9999-12-31T23:59:59-14:00"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_manifest_that_this_version_does_not_understand_is_refused_whole(fault: str) -> None:
    assert Manifest.from_bytes(written(lambda _: None)).serial == 7
    with pytest.raises(CorruptError, match="no manifest that this version understands"):
        Manifest.from_bytes(written(REFUSED[fault]))


OF_THE_FIRST_EDITION: dict[str, Callable[[dict[str, Any]], object]] = {
    "no thresholds": lambda parts: parts["content"].pop("thresholds"),
    "an empty list of thresholds": lambda parts: parts["content"].update(thresholds=[]),
    "a number for the thresholds": lambda parts: parts["content"].update(thresholds=5),
    "a threshold that is a number": lambda parts: parts["content"].update(thresholds=[5]),
    "a threshold without its rate": lambda parts: parts["content"]["thresholds"][0].pop("false_alarm_rate"),
    "a threshold in words": lambda parts: parts["content"]["thresholds"][0].update(gaussian_db="high"),
    "a threshold that is null": lambda parts: parts["content"]["thresholds"][0].update(empirical_db=None),
    "an infinite threshold": lambda parts: parts["content"]["thresholds"][0].update(empirical_db=float("inf")),
    "something new": lambda parts: parts["content"].update(default_score="error"),
}


@pytest.mark.parametrize("fault", OF_THE_FIRST_EDITION)
def test_a_faulty_manifest_of_the_first_edition_is_refused_whole(fault: str) -> None:
    assert Manifest.from_bytes(written(lambda _: None, first_edition)).serial == 7
    with pytest.raises(CorruptError, match="no manifest that this version understands"):
        Manifest.from_bytes(written(OF_THE_FIRST_EDITION[fault], first_edition))


def test_a_manifest_of_the_first_edition_is_read_as_one_with_the_error_for_its_only_score() -> None:
    manifest = Manifest.from_bytes(json.dumps(first_edition()).encode())
    content = manifest.content
    assert (content.score_names, content.default_score) == (("error",), "error")
    threshold = content.table_of("error").threshold_for(0.01)
    assert (threshold.gaussian, threshold.empirical, threshold.bound) == (3.0, 3.5, 3.5)
    assert (content.candidates, content.choice) == ((), "")
    assert json.loads(manifest.to_bytes())["format"] == "bandwatch.manifest/2"
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_content_that_was_stored_by_the_first_edition_is_read_too() -> None:
    assert ModelContent.model_validate(first_edition()["content"]).default_score == "error"


@given(st.binary(max_size=100) | st.sampled_from([b"[" * 100_000, b'"' + b"a" * 10_000, b"1" * 10_000]))
def test_bytes_that_are_no_manifest_are_refused(garbage: bytes) -> None:
    with pytest.raises(CorruptError):
        Manifest.from_bytes(garbage)


@whole_documents
@given(manifests, st.data())
def test_a_truncated_manifest_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    content = manifest.to_bytes()
    with pytest.raises(CorruptError):
        Manifest.from_bytes(content[: data.draw(st.integers(0, len(content) - 1))])


def test_a_huge_manifest_is_refused_even_if_it_is_sound() -> None:
    padded = written(lambda _: None).ljust(LARGEST_MANIFEST_BYTES)
    assert Manifest.from_bytes(padded).serial == 7
    with pytest.raises(CorruptError, match="is larger than"):
        Manifest.from_bytes(padded + b" ")


def test_the_blobs_of_a_model_are_its_graph_and_its_tensors() -> None:
    content = Manifest.model_validate(plain()).content
    assert [(blob.digest, blob.size_bytes) for blob in content.blobs()] == [(DIGEST, 1), (DIGEST, 24)]


@given(
    table=tables("band"),
    rates=st.lists(thresholds, min_size=1, max_size=6),
    wanted=st.floats(0, 1, exclude_min=True),
)
def test_the_threshold_of_the_highest_rate_that_is_not_above_the_wanted_one_serves_else_of_the_lowest(
    table: ScoreTable, rates: list[Threshold], wanted: float
) -> None:
    ladder = sorted({threshold.false_alarm_rate for threshold in rates})
    assume(all(rate <= wanted or rate > wanted * 1.000001 for rate in ladder))
    expected = ladder[0]
    for rate in ladder:
        if rate <= wanted:
            expected = rate
    chosen = table.model_copy(update={"thresholds": tuple(rates)}).threshold_for(wanted)
    assert chosen.false_alarm_rate == expected
    assert chosen in rates


def test_a_wanted_rate_meets_its_own_threshold_in_spite_of_rounding() -> None:
    rates = [Threshold(false_alarm_rate=rate, gaussian=1, empirical=1, bound=1) for rate in (0.01, 0.1 + 0.2, 0.5)]
    error = Manifest.model_validate(plain()).content.table_of("error").model_copy(update={"thresholds": tuple(rates)})
    assert error.threshold_for(0.3).false_alarm_rate == 0.1 + 0.2


@whole_documents
@given(content=contents)
def test_the_table_of_a_score_is_its_own_and_a_score_without_one_is_told_with_the_choice(content: ModelContent) -> None:
    assert [content.table_of(name).score for name in content.score_names] == [t.score for t in content.scores]
    with pytest.raises(InvalidArgumentError, match=content.scores[0].score):
        content.table_of("loudness")


@pytest.mark.parametrize(("parent_db", "beats"), [(2.6, True), (2.5, False), (2.4, False), (None, True)])
def test_a_model_beats_its_parent_where_its_error_is_lower(parent_db: float | None, beats: bool) -> None:
    parent = None if parent_db is None else ErrorStatistics(mean_db=parent_db, deviation_db=0.2, windows=10)
    content = Manifest.model_validate(plain()).content.model_copy(update={"parent_error": parent})
    assert content.beats_parent == beats
