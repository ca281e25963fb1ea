"""The folder of a local stack is made once, and what is secret in it stays private."""

import stat
from pathlib import Path

from bandwatch.artifacts.release_roots import ReleaseRoot
from bandwatch.artifacts.signing import OnlineKeyFiles
from infra.local.data_folder import DataFolder


def test_keys_survive_a_second_start(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    before = {file.name: file.read_bytes() for file in folder.keys.iterdir()}
    folder.prepare()
    assert {file.name: file.read_bytes() for file in folder.keys.iterdir()} == before
    made = {"root.key", "signing.key", "timestamp.key", "release-root.json", "ca.key", "authorities.pem"}
    assert set(before) == made


def test_the_root_of_trust_names_the_keys_beside_it(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    root = ReleaseRoot.parse(folder.release_root_file.read_bytes())
    root.require(OnlineKeyFiles(folder.signing_key_file, folder.timestamp_key_file).load())


def test_only_the_database_may_be_entered_by_another_user(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o700}
    assert {stat.S_IMODE(secret.stat().st_mode) for secret in folder.keys.iterdir()} == {0o600}
