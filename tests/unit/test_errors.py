"""One error tree: stable codes, sentences, and a place in the map of statuses."""

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator

import pytest

import bandwatch
import observer_agent
from bandwatch import errors
from bandwatch.errors import BandwatchError
from bandwatch.wire.status import status_of

# Every module that may define an error is loaded, so that every error is seen.
for _package in (bandwatch, observer_agent):
    for _module in pkgutil.walk_packages(_package.__path__, f"{_package.__name__}."):
        if not _module.name.endswith("__main__"):
            importlib.import_module(_module.name)


def _below(kind: type[BandwatchError]) -> Iterator[type[BandwatchError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


KINDS = list(BandwatchError.__subclasses__())
EVERY_ERROR = list(_below(BandwatchError))


def test_the_kinds_are_those_of_the_error_module() -> None:
    defined = {value for value in vars(errors).values() if isinstance(value, type)} - {BandwatchError}
    assert set(KINDS) >= defined
    assert {kind for kind in KINDS if kind.__module__ == "bandwatch.errors"} == defined


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_codes_are_words_in_lower_case_joined_by_underscores(kind: type[BandwatchError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)


def test_a_code_stands_for_one_error_only() -> None:
    stated = Counter(kind.code for kind in EVERY_ERROR if "code" in vars(kind))
    assert [code for code, count in stated.items() if count > 1] == []
    assert BandwatchError.code not in stated


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_states_a_code_of_its_own_and_says_what_it_means(kind: type[BandwatchError]) -> None:
    assert "code" in vars(kind)
    assert (kind.__doc__ or "").strip()


def test_every_kind_has_a_status_of_its_own() -> None:
    statuses = Counter(status_of(kind("sentence")) for kind in KINDS)
    assert max(statuses.values()) == 1
    assert status_of(BandwatchError("sentence")) not in statuses


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_an_error_below_a_kind_shares_its_status_and_is_not_internal(kind: type[BandwatchError]) -> None:
    parent = next(ancestor for ancestor in reversed(kind.__mro__) if ancestor in KINDS)
    assert status_of(kind("sentence")) is status_of(parent("sentence"))
    assert status_of(kind("sentence")) is not status_of(BandwatchError("sentence"))


@pytest.mark.parametrize("kind", EVERY_ERROR)
def test_an_error_is_its_sentence(kind: type[BandwatchError]) -> None:
    error = kind("do this instead")
    assert str(error) == error.message == "do this instead"
