"""Reads JSON files that people write, with errors that name the file and the place."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from bandwatch.errors import InvalidArgumentError, NotFoundError

T = TypeVar("T")


def read_json_file(path: Path, kind: type[T]) -> T:
    """Return the content of a file, checked against a type.

    Raises:
        NotFoundError: There is no such file.
        InvalidArgumentError: It cannot be read or its content is of another form.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}") from error
    except OSError as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        faults = [_fault(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False)]
        raise InvalidArgumentError(f"{path} is not of the form that is needed: " + "; ".join(faults)) from error


def _fault(location: tuple[int | str, ...], message: str) -> str:
    place = ".".join(str(part) for part in location)
    return f"{place}: {message}" if place else message
