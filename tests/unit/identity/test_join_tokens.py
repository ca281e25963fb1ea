"""Join tokens as text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandwatch.errors import InvalidArgumentError, NotFoundError
from bandwatch.identity.authority import Authority
from bandwatch.identity.join_tokens import JoinToken, read_join_token, secret_digest
from bandwatch.identity.keyring import Keyring

ONE, TWO = Authority.make(), Authority.make()
BUNDLES = [Keyring(ONE).authorities, Keyring(ONE, TWO).authorities]


@given(st.sampled_from(["", "observers/roof", "workers/w-1"]), st.sampled_from(BUNDLES))
def test_a_token_survives_its_text_with_whom_to_trust(member: str, authorities: bytes) -> None:
    token = JoinToken.make(member, authorities)
    text = token.to_text()
    assert JoinToken.from_text(f"  {text}\n") == token
    assert text.isascii()
    assert " " not in text
    assert token.digest == secret_digest(token.secret) not in text


def test_two_tokens_never_have_one_secret() -> None:
    assert len({JoinToken.make("", BUNDLES[0]).secret for _ in range(100)}) == 100


@given(st.text(max_size=80) | st.binary(max_size=60).map(lambda noise: f"bwjoin.secret.{noise.hex()}.{noise.hex()}"))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="no join token"):
        JoinToken.from_text(text)


def test_a_token_that_lost_its_end_is_refused() -> None:
    text = JoinToken.make("observers/roof", BUNDLES[0]).to_text()
    for end in (10, 60, len(text) - 1):
        with pytest.raises(InvalidArgumentError):
            JoinToken.from_text(text[:end])


def test_a_token_comes_as_text_or_in_a_file_but_not_both(tmp_path: Path) -> None:
    token = JoinToken.make("", BUNDLES[0])
    (tmp_path / "join.token").write_text(token.to_text() + "\n")
    assert read_join_token("", tmp_path / "join.token") == read_join_token(token.to_text(), None) == token
    for text, file in (("", None), (token.to_text(), tmp_path / "join.token")):
        with pytest.raises(InvalidArgumentError, match="either with"):
            read_join_token(text, file)
    with pytest.raises(NotFoundError, match="none"):
        read_join_token("", tmp_path / "none")
