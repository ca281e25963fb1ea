"""Roots of trust: each successor is signed by the root key of the one before, and names who may sign."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tuf.api.metadata import Metadata, Root

from bandwatch.artifacts.release_roots import (
    ROOT_LIFE,
    ReleaseRoot,
    first_root,
    with_new_online_keys,
    with_new_root_key,
)
from bandwatch.artifacts.signing import OnlineKeys, new_key
from bandwatch.errors import CorruptError, FailedPreconditionError

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROOT_KEY, KEYS = new_key(), OnlineKeys(new_key(), new_key())
FIRST = first_root(ROOT_KEY, KEYS, NOW)


def signed_by(root: ReleaseRoot, judge: ReleaseRoot) -> bool:
    """Tell by python-tuf's own check whether a root is signed as another one demands."""
    metadata = Metadata[Root].from_bytes(root.content)
    demanding = Metadata[Root].from_bytes(judge.content).signed
    return demanding.get_verification_result(Root.type, metadata.signed_bytes, metadata.signatures).verified


def test_the_first_root_names_the_keys_that_it_was_made_with() -> None:
    FIRST.require(KEYS)
    assert FIRST.root == ROOT_KEY.public_key
    assert (FIRST.version, FIRST.expires_at) == (1, NOW + ROOT_LIFE)
    assert signed_by(FIRST, FIRST)


def test_new_online_keys_are_named_by_a_successor_that_names_the_old_ones_no_more() -> None:
    keys = OnlineKeys(new_key(), new_key())
    root = with_new_online_keys(FIRST, ROOT_KEY, keys, NOW)
    root.require(keys)
    assert root.version == 2
    assert signed_by(root, FIRST)
    assert signed_by(root, root)
    old = {KEYS.naming.public_key.keyid, KEYS.dating.public_key.keyid}
    assert old & set(Metadata[Root].from_bytes(root.content).signed.keys) == set()
    with pytest.raises(FailedPreconditionError, match="rotate-signing-key"):
        root.require(KEYS)


def test_a_new_root_key_is_named_by_a_successor_that_both_root_keys_signed() -> None:
    fresh = new_key()
    root = with_new_root_key(FIRST, ROOT_KEY, fresh, NOW)
    root.require(KEYS)
    assert signed_by(root, FIRST)
    assert signed_by(root, root)
    after = with_new_root_key(root, fresh, new_key(), NOW)
    assert signed_by(after, root)
    assert not signed_by(after, FIRST), "the first root key has no say any more"


def test_a_root_key_that_did_not_make_the_root_makes_no_successor() -> None:
    stranger = new_key()
    with pytest.raises(FailedPreconditionError, match="name the file"):
        with_new_online_keys(FIRST, stranger, KEYS, NOW)
    with pytest.raises(FailedPreconditionError, match="name the file"):
        with_new_root_key(FIRST, stranger, new_key(), NOW)


def test_online_keys_in_each_others_place_may_not_sign() -> None:
    with pytest.raises(FailedPreconditionError):
        FIRST.require(OnlineKeys(KEYS.dating, KEYS.naming))


def test_a_root_is_read_as_it_was_made() -> None:
    assert ReleaseRoot.parse(FIRST.content) == FIRST


@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b"null", b'{"signed":{},"signatures":[]}']))
def test_what_is_no_root_is_refused(content: bytes) -> None:
    with pytest.raises(CorruptError):
        ReleaseRoot.parse(content)
