"""Page tokens: what was given opens to the same key, and nothing else gets as far as the database."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import InstrumentedAttribute

from bandwatch.errors import InvalidArgumentError
from coordinator.registry.entities import Anomaly, Band, Model, Release, Segment
from coordinator.services.paging import _open, _seal

Key = Sequence[InstrumentedAttribute[Any]]

identifiers = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
boots = st.text("0123456789abcdef", min_size=32, max_size=32)
numbers = st.integers(1, 2**63 - 1)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive

KEYS: dict[str, tuple[Key, st.SearchStrategy[tuple[Any, ...]]]] = {
    "bands by name": ([Band.id], st.tuples(identifiers)),
    "models by time": ([Model.created_at, Model.id], st.tuples(moments, identifiers)),
    "releases by serial": ([Release.serial], st.tuples(numbers)),
    "segments by origin": (
        [Segment.observer_id, Segment.boot_id, Segment.sequence],
        st.tuples(identifiers, boots, numbers),
    ),
    "anomalies by time": (
        [Anomaly.window_start_at, Anomaly.observer_id, Anomaly.boot_id, Anomaly.sequence],
        st.tuples(moments, identifiers, boots, numbers),
    ),
}


@given(st.sampled_from(sorted(KEYS)), st.data())
def test_a_key_survives_its_token(listing: str, data: st.DataObject) -> None:
    key, values = KEYS[listing]
    last = list(data.draw(values))
    token = _seal(last)
    assert _open(token, key) == last
    assert token.isascii()
    assert token.isprintable()


def token_of(value: object) -> str:
    """Return any JSON in the clothes of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def is_comparable(value: object) -> bool:
    """Tell whether PostgreSQL can compare a value with a text, a bigint or a moment."""
    if isinstance(value, str):
        return "\0" not in value and value.encode("utf-8", "replace").decode() == value
    return isinstance(value, datetime) or (isinstance(value, int) and -(2**63) <= value < 2**63)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 10**400])
    | st.floats()
    | st.text(st.characters(), max_size=40)
    | moments.map(str)
)
_values = _scalars | st.lists(_scalars, max_size=5) | st.dictionaries(st.text(max_size=5), _scalars, max_size=3)


@given(st.sampled_from(sorted(KEYS)), st.text(st.characters(), max_size=60) | _values.map(token_of))
def test_any_other_token_is_an_invalid_argument_or_a_key_that_the_database_can_compare(
    listing: str, token: str
) -> None:
    key, _ = KEYS[listing]
    try:
        values = _open(token, key)
    except InvalidArgumentError:
        return
    assert len(values) == len(key)
    assert all(is_comparable(value) for value in values)


HOSTILE: dict[str, tuple[object, Key]] = {
    "a character that no text of PostgreSQL holds": (["oak\0"], [Band.id]),
    "half a character": (["\ud800"], [Band.id]),
    "a number that no column holds": ([2**63], [Release.serial]),
    "a text for a number": (["7"], [Release.serial]),
    "a number for a moment": ([7, "m"], [Model.created_at, Model.id]),
    "a moment that is none": (["yesterday", "m"], [Model.created_at, Model.id]),
    "a value too few": (["2026-01-01 00:00:00+00:00"], [Model.created_at, Model.id]),
    "a value too many": (["oak", "elm"], [Band.id]),
    "no list": (7, [Band.id]),
    "a token of another listing": (["roof", "0" * 32, 1], [Model.created_at, Model.id, Model.run_id]),
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_a_token_that_could_only_break_the_query_is_refused(fault: str) -> None:
    value, key = HOSTILE[fault]
    with pytest.raises(InvalidArgumentError, match="must be the next_page_token of an earlier answer"):
        _open(token_of(value), key)


@pytest.mark.parametrize("token", ["!", "é", "AAA", base64.urlsafe_b64encode(b"[" * 100_000).decode()])
def test_text_that_no_listing_ever_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError):
        _open(token, [Band.id])


def test_a_moment_keeps_its_microseconds_so_that_no_entry_repeats_or_hides() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert _open(_seal([moment, "m"]), [Model.created_at, Model.id]) == [moment, "m"]
    assert _open(_seal([moment + timedelta(microseconds=1), "m"]), [Model.created_at, Model.id])[0] > moment
