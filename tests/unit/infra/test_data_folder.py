"""The folder of a local stack is made once, and what is secret in it stays private."""

import stat
from pathlib import Path

from bandwatch.artifacts.signing import SigningKey, TrustedKeys
from infra.local.data_folder import DataFolder


def test_keys_and_tokens_survive_a_second_start(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    before = {file.name: file.read_bytes() for file in folder.keys.iterdir()}
    folder.prepare()
    assert {file.name: file.read_bytes() for file in folder.keys.iterdir()} == before
    assert set(before) == {"signing.key", "trusted-keys.pem", "operator.token", "worker.token"}


def test_the_trusted_keys_believe_what_the_signing_key_sealed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    envelope = SigningKey.load(folder.signing_key_file).seal(b"payload")
    assert TrustedKeys.load(folder.trusted_keys_file).open(envelope) == b"payload"


def test_only_the_database_may_be_entered_by_another_user(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o700}
    for secret in (folder.signing_key_file, folder.operator_token_file, folder.worker_token_file):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
