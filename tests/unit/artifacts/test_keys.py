"""The keys and tokens of a new deployment."""

import stat
from pathlib import Path

from bandwatch.artifacts.keys import make_keys
from bandwatch.artifacts.signing import SigningKey, TrustedKeys

FILES = {"signing.key", "trusted-keys.pem", "operator.token", "worker.token"}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_new_folder_gets_a_key_the_trust_in_it_and_two_different_tokens(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    made = make_keys(folder)
    assert {path.name for path in made} == FILES == set(_contents(folder))
    sealed = SigningKey.load(folder / "signing.key").seal(b"payload")
    assert TrustedKeys.load(folder / "trusted-keys.pem").open(sealed) == b"payload"
    operator, worker = (_contents(folder)[f"{role}.token"].strip() for role in ("operator", "worker"))
    assert operator != worker
    assert min(len(operator), len(worker)) >= 43, "256 bits in base64"


def test_keys_and_tokens_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    for path in make_keys(folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_there_stays_and_nothing_is_made_twice(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = _contents(tmp_path)
    assert make_keys(tmp_path) == []
    assert _contents(tmp_path) == before


def test_only_what_is_missing_is_made(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = _contents(tmp_path)
    (tmp_path / "trusted-keys.pem").unlink()
    (tmp_path / "worker.token").unlink()
    assert make_keys(tmp_path) == [tmp_path / "trusted-keys.pem", tmp_path / "worker.token"]
    after = _contents(tmp_path)
    assert after.pop("worker.token") != before.pop("worker.token")
    assert after == before, "trust follows from the key that stayed"
