"""Every model content and manifest that the contract allows, for hypothesis."""

from datetime import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from bandwatch.artifacts.manifest import (
    BlobReference,
    ErrorStatistics,
    Manifest,
    ModelContent,
    TensorEntry,
    Threshold,
)

whole_documents = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Settings for tests that draw a model or manifest with all its parts."""

_YEARS = datetime(2, 1, 1), datetime(9998, 12, 31)  # noqa: DTZ001 - bounds are naive
_decibels = st.floats(0, 1000)
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
    gaussian_db=_decibels,
    empirical_db=_decibels,
)
contents = st.builds(
    ModelContent,
    family=st.text("abcxyz0189-", min_size=1, max_size=40),
    graph=_blobs,
    tensors=_few(st.builds(TensorEntry, name=_text, shape=st.lists(_numbers, max_size=8).map(tuple), blob=_blobs)),
    frozen_layers=st.integers(0, 64),
    error=_errors,
    thresholds=_few(thresholds),
    golden_errors_db=_few(_decibels),
    parent_error=st.none() | _errors,
)
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
