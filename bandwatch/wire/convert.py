"""Moments and durations as messages and back."""

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bandwatch.errors import InvalidArgumentError


def to_timestamp(moment: datetime) -> Timestamp:
    """Return an aware moment as a Timestamp."""
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


def to_moment(message: Timestamp) -> datetime:
    """Return a Timestamp as an aware UTC moment.

    Raises:
        InvalidArgumentError: It lies outside the years 1 to 9999.
    """
    try:
        return message.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError("a time must lie between the years 1 and 9999") from error


def to_duration_message(span: timedelta) -> Duration:
    """Return a time span as a Duration."""
    message = Duration()
    message.FromTimedelta(span)
    return message


def to_span(message: Duration) -> timedelta:
    """Return a Duration as a time span.

    Raises:
        InvalidArgumentError: It is longer than any calendar.
    """
    try:
        return message.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise InvalidArgumentError("a duration must be shorter than 10,000 years") from error
