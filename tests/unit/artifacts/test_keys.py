"""The keys of a new deployment."""

import stat
from pathlib import Path

import pytest

from bandwatch.artifacts.keys import make_keys
from bandwatch.artifacts.release_roots import ReleaseRoot
from bandwatch.artifacts.signing import OnlineKeyFiles, load_key
from bandwatch.errors import FailedPreconditionError

FOR_RELEASES = {"root.key", "signing.key", "timestamp.key", "release-root.json"}


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _root(folder: Path) -> ReleaseRoot:
    return ReleaseRoot.parse((folder / "release-root.json").read_bytes())


def _online(folder: Path) -> OnlineKeyFiles:
    return OnlineKeyFiles(folder / "signing.key", folder / "timestamp.key")


def test_a_new_folder_gets_keys_and_the_root_that_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "keys"
    made = make_keys(folder)
    assert {path.name for path in made} == set(_contents(folder)) == FOR_RELEASES
    _root(folder).require(_online(folder).load())
    assert _root(folder).root == load_key(folder / "root.key").public_key


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    for path in make_keys(folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_is_there_stays_and_nothing_is_made_twice(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = _contents(tmp_path)
    assert make_keys(tmp_path) == []
    assert _contents(tmp_path) == before


def test_the_root_key_may_be_taken_away(tmp_path: Path) -> None:
    make_keys(tmp_path)
    (tmp_path / "root.key").unlink()
    assert make_keys(tmp_path) == []


def test_keys_that_are_there_are_taken_into_a_new_root(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = _contents(tmp_path)
    (tmp_path / "release-root.json").unlink()
    assert make_keys(tmp_path) == [tmp_path / "release-root.json"]
    assert {name: content for name, content in _contents(tmp_path).items() if name.endswith(".key")} == {
        name: content for name, content in before.items() if name.endswith(".key")
    }
    _root(tmp_path).require(_online(tmp_path).load())


@pytest.mark.parametrize("lost", ["signing.key", "timestamp.key"])
def test_a_root_whose_keys_are_lost_is_no_reason_to_make_others(tmp_path: Path, lost: str) -> None:
    make_keys(tmp_path)
    (tmp_path / lost).unlink()
    with pytest.raises(FailedPreconditionError, match=f"not {lost}"):
        make_keys(tmp_path)
    assert not (tmp_path / lost).exists()
