"""Names are printed and parsed in one place, and each is the other's inverse."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch import names
from bandwatch.errors import InvalidArgumentError
from bandwatch.names import Collection

LETTERS = string.ascii_lowercase + string.digits
COLLECTIONS = [names.bands, names.cells, names.observers, names.models, names.releases, names.runs]

collections = st.sampled_from(COLLECTIONS)
identifiers = st.builds(
    lambda first, rest: first + rest.rstrip("-"), st.sampled_from(LETTERS), st.text(LETTERS + "-", max_size=62)
)
nearly = st.text(LETTERS + "-A_/. \n\0é²", max_size=66)


def is_identifier(text: str) -> bool:
    """Say the rule in plain words: 1 to 63 lower-case letters, digits and hyphens, no hyphen at either end."""
    return 1 <= len(text) <= 63 and set(text) <= {*LETTERS, "-"} and text.strip("-") == text


@given(collections, identifiers)
def test_an_identifier_survives_its_name(collection: Collection, identifier: str) -> None:
    assert collection.name(identifier) == f"{collection.word}/{identifier}"
    assert collection.id(collection.name(identifier)) == identifier


@given(collections, identifiers | nearly | st.text(max_size=5))
def test_what_the_rule_does_not_allow_is_neither_printed_nor_parsed(collection: Collection, text: str) -> None:
    if is_identifier(text):
        assert collection.id(collection.name(text)) == text
        return
    with pytest.raises(InvalidArgumentError, match=f"cannot name one of the {collection.word}"):
        collection.name(text)
    with pytest.raises(InvalidArgumentError, match=f"write {collection.word}/IDENTIFIER"):
        collection.id(f"{collection.word}/{text}")


@pytest.mark.parametrize(
    "text", ["", "oak", "cells", "cells/", "/oak", "bands/oak", "Cells/oak", "cells/oak/x", " cells/oak"]
)
def test_text_that_is_no_name_of_the_collection_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is no name of one of the cells"):
        names.cells.id(text)


def test_every_kind_of_resource_has_a_word_of_its_own() -> None:
    assert len({collection.word for collection in COLLECTIONS}) == len(COLLECTIONS)


_origins = st.tuples(identifiers, st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(1, 2**63 - 1))


@given(_origins)
def test_segments_and_anomalies_are_named_by_who_made_them_and_their_number(origin: tuple[str, str, int]) -> None:
    segment = names.segment_name(*origin)
    anomaly = names.anomaly_name(*origin)
    assert (segment.partition("/")[0], anomaly.partition("/")[0]) == ("segments", "anomalies")
    observer, boot, number = segment.removeprefix("segments/").split(".")
    assert (observer, boot, int(number)) == origin
    assert anomaly.removeprefix("anomalies/") == segment.removeprefix("segments/")
