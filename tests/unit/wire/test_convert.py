"""Moments and time spans against their own arithmetic."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError
from bandwatch.wire.convert import to_duration_message, to_moment, to_span, to_timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEN_THOUSAND_YEARS_S = 315_576_000_000
"""What a Duration may hold, either way (google/protobuf/duration.proto)."""

# A day from either end, so that every time zone has a name for the moment.
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.timezones())  # noqa: DTZ001 - bounds are naive
spans = st.timedeltas(-timedelta(seconds=TEN_THOUSAND_YEARS_S), timedelta(seconds=TEN_THOUSAND_YEARS_S))
int64 = st.integers(-(2**63), 2**63 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)


@given(moments)
def test_a_moment_survives_its_message_and_comes_back_in_utc(moment: datetime) -> None:
    back = to_moment(to_timestamp(moment))
    # In UTC: an hour that daylight saving leaves out equals no moment of another zone (PEP 495).
    assert back == moment.astimezone(UTC)
    assert back.tzinfo is UTC


@given(moments)
def test_a_timestamp_counts_seconds_and_nanoseconds_since_1970(moment: datetime) -> None:
    message = to_timestamp(moment)
    seconds, rest = divmod(moment - EPOCH, timedelta(seconds=1))
    assert (message.seconds, message.nanos) == (seconds, rest // timedelta(microseconds=1) * 1000)


@given(spans)
def test_a_span_survives_its_message(span: timedelta) -> None:
    assert to_span(to_duration_message(span)) == span


@given(spans)
def test_a_duration_counts_seconds_and_nanoseconds_of_one_sign(span: timedelta) -> None:
    message = to_duration_message(span)
    assert message.seconds * 10**6 + message.nanos // 1000 == span // timedelta(microseconds=1)
    assert message.seconds * message.nanos >= 0


@given(int64, int32)
def test_a_timestamp_from_outside_is_a_moment_or_an_invalid_argument(seconds: int, nanos: int) -> None:
    message = Timestamp(seconds=seconds, nanos=nanos)
    try:
        moment = to_moment(message)
    except InvalidArgumentError:
        return
    assert abs((moment - EPOCH).total_seconds() - (seconds + nanos / 1e9)) < 1e-3


@given(int64, int32)
def test_a_duration_from_outside_is_a_span_or_an_invalid_argument(seconds: int, nanos: int) -> None:
    message = Duration(seconds=seconds, nanos=nanos)
    try:
        span = to_span(message)
    except InvalidArgumentError:
        return
    assert abs(span.total_seconds() - (seconds + nanos / 1e9)) < 1e-3


def test_times_outside_the_calendar_are_refused_with_a_sentence() -> None:
    with pytest.raises(InvalidArgumentError, match="between the years 1 and 9999"):
        to_moment(Timestamp(seconds=10**13))
    with pytest.raises(InvalidArgumentError, match=r"shorter than 10,000 years"):
        to_span(Duration(seconds=10**15))
