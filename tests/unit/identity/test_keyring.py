"""The authorities of a coordinator, and their exchange."""

import stat
from pathlib import Path

import pytest

from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from bandwatch.identity.certificates import read_bundle
from bandwatch.identity.keyring import begin_exchange, finish_exchange, load_keyring, make_authority
from bandwatch.wire.serving import ServerCertificate


def test_a_new_folder_gets_one_authority_for_its_owners_eyes_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    assert {path.name for path in make_authority(folder)} == {"ca.key", "authorities.pem"}
    before = load_keyring(folder)
    assert make_authority(folder) == []
    assert load_keyring(folder).digest == before.digest
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert (folder / "authorities.pem").read_bytes() == before.authorities


def test_an_exchange_trusts_both_signs_members_by_the_next_and_ends_with_that_one(tmp_path: Path) -> None:
    make_authority(tmp_path)
    first = load_keyring(tmp_path)
    both = begin_exchange(tmp_path)
    assert both.current.digest == first.current.digest
    assert both.for_members.digest != first.current.digest
    assert len(read_bundle((tmp_path / "authorities.pem").read_bytes())) == 2
    assert both.digest != first.digest
    with pytest.raises(FailedPreconditionError, match="--finish"):
        begin_exchange(tmp_path)
    last = finish_exchange(tmp_path)
    assert (last.current.digest, last.next) == (both.for_members.digest, None)
    assert (tmp_path / "authorities.pem").read_bytes() == last.authorities
    with pytest.raises(FailedPreconditionError, match="no next authority"):
        finish_exchange(tmp_path)


def test_a_folder_without_an_authority_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="make-keys"):
        load_keyring(tmp_path)
    (tmp_path / "ca.key").write_text("nonsense")
    with pytest.raises(InvalidArgumentError, match=r"ca\.key"):
        load_keyring(tmp_path)


def test_a_server_follows_its_authorities_without_a_restart(tmp_path: Path) -> None:
    make_authority(tmp_path)
    server = ServerCertificate(lambda: load_keyring(tmp_path), ["localhost"])
    first = server.configuration()
    assert server.configuration() is first
    begin_exchange(tmp_path)
    second = server.configuration()
    assert second is not first
    assert server.keyring.next is not None
