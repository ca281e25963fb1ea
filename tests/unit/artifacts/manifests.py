"""Every model content and manifest that the contract allows, for hypothesis."""

from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bandwatch.artifacts.manifest import (
    SCORES,
    BlobReference,
    Candidate,
    ErrorStatistics,
    Manifest,
    ModelContent,
    ScoreTable,
    TensorEntry,
    Threshold,
)

whole_documents = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Settings for tests that draw a model or manifest with all its parts."""

_YEARS = datetime(2, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 - bounds are naive
_decibels = st.floats(0, 1000)
_scores = st.floats(-1e6, 1e6)
_numbers = st.integers(1, 2**32 - 1)
_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def _few(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(parts, min_size=1, max_size=3).map(tuple)


_blobs = st.builds(
    BlobReference,
    digest=st.text("0123456789abcdef", min_size=64, max_size=64),
    size_bytes=st.integers(1, 1 << 28),
)
_errors = st.builds(ErrorStatistics, mean_db=_decibels, deviation_db=_decibels, windows=_numbers)
thresholds = st.builds(
    Threshold,
    false_alarm_rate=st.floats(0, 1, exclude_min=True, exclude_max=True),
    gaussian=_scores,
    empirical=_scores,
    bound=_scores,
)
_families = st.text("abcxyz0189-", min_size=1, max_size=40)
_candidates = st.builds(
    Candidate,
    family=_families,
    teacher=st.none() | st.from_regex(r"models/[a-z0-9]{1,20}", fullmatch=True),
    error=_errors,
    unadapted_error=st.none() | _errors,
)


def tables(score: str) -> st.SearchStrategy[ScoreTable]:
    """Return every table of a score."""
    return st.builds(
        ScoreTable,
        score=st.just(score),
        log_mean=_scores,
        log_deviation=st.floats(0, 1000, exclude_min=True),
        thresholds=_few(thresholds),
    )


@st.composite
def _every_content(draw: st.DrawFn) -> ModelContent:
    names = draw(st.lists(st.sampled_from(SCORES), min_size=1, unique=True).filter(lambda some: some != ["combined"]))
    parts: dict[str, Any] = {
        "family": draw(_families),
        "graph": draw(_blobs),
        "tensors": draw(
            _few(st.builds(TensorEntry, name=_text, shape=st.lists(_numbers, max_size=8).map(tuple), blob=_blobs))
        ),
        "frozen_layers": draw(st.integers(0, 64)),
        "error": draw(_errors),
        "scores": tuple(draw(tables(name)) for name in names),
        "default_score": draw(st.sampled_from(names)),
        "golden_errors_db": draw(_few(_decibels)),
        "parent_error": draw(st.none() | _errors),
        "candidates": tuple(draw(st.lists(_candidates, max_size=3))),
        "choice": draw(st.just("") | _text),
    }
    return ModelContent(**parts)


contents = _every_content()
manifests = st.builds(
    Manifest,
    serial=st.integers(1, 2**63 - 1),
    model=_text,
    band=_text,
    cell=st.none() | _text,
    parent=st.none() | _text,
    run=_text,
    content=contents,
    created_at=st.datetimes(*_YEARS, timezones=st.timezones()),
)
