"""Small parts of messages: words for enums, moments, names in filters."""

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from bandwatch import names
from bandwatch.wire.convert import to_timestamp

WordT = TypeVar("WordT", bound=StrEnum)


def word_of(kind: type[WordT], wrapper: Any, number: int) -> WordT:
    """Return the registry's word for a value of a message's enum."""
    prefix = f"{wrapper.DESCRIPTOR.values_by_number[0].name.removesuffix('UNSPECIFIED')}"
    return kind(wrapper.Name(number).removeprefix(prefix).lower())


def number_of(word: StrEnum, wrapper: Any) -> Any:
    """Return the value of a message's enum for the registry's word."""
    prefix = f"{wrapper.DESCRIPTOR.values_by_number[0].name.removesuffix('UNSPECIFIED')}"
    return wrapper.Value(prefix + word.value.upper())


def time_of(moment: datetime | None) -> Timestamp | None:
    """Return a moment as a message, where there is one."""
    return to_timestamp(moment) if moment else None


def optional_word(kind: type[WordT], wrapper: Any, number: int) -> WordT | None:
    """Return the registry's word for a filter, or nothing where the filter is not set."""
    return word_of(kind, wrapper, number) if number else None


def optional_id(collection: names.Collection, name: str) -> str | None:
    """Return the identifier of a filter's name, or nothing where the filter is not set."""
    return collection.id(name) if name else None
