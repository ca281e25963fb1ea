"""Values of the contract as short texts for people, and back."""

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bandwatch.wire.convert import to_moment, to_span

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

Number = TypeVar("Number", bound=int)


def word(kind: "_EnumTypeWrapper[Number]", number: Number) -> str:
    """Return one value of an enum as a lower-case word, such as static.

    Nothing stands for the unspecified value, and a number for one of a newer contract.
    """
    if not number:
        return ""
    if number not in kind.values():
        return str(number)
    return kind.Name(number).removeprefix(_prefix(kind)).lower()


def number(kind: "_EnumTypeWrapper[Number]", word_of_it: str | None) -> Number:
    """Return the value of an enum that a word stands for; None is the unspecified one."""
    return kind.Value(f"{_prefix(kind)}{(word_of_it or 'unspecified').upper()}")


def moment(message: Timestamp) -> str:
    """Return a time in UTC such as 2026-03-01 12:00:00Z; nothing for one that was never set."""
    return f"{to_moment(message):%Y-%m-%d %H:%M:%SZ}" if message.ByteSize() else ""


def duration(message: Duration) -> str:
    """Return a duration such as 5m 0s."""
    return span(to_span(message))


def span(length: timedelta) -> str:
    """Return a time span such as 1h 5m 0s or 25.6s."""
    seconds = length.total_seconds()
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:g}s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m {seconds}s" if hours else f"{minutes}m {seconds}s"


def megahertz(frequency_hz: float) -> str:
    """Return a frequency such as 881.5 MHz."""
    return f"{frequency_hz / 1e6:g} MHz"


def decibels(level_db: float) -> str:
    """Return a level to a hundredth, such as 2.58 dB."""
    return f"{level_db:.2f} dB"


def _prefix(kind: "_EnumTypeWrapper[Number]") -> str:
    return kind.keys()[0].removesuffix("UNSPECIFIED")
