"""Secrets of a local stack are made once and kept private."""

import stat
from pathlib import Path

from bandwatch.artifacts.signing import SigningKey, TrustedKeys
from infra.local.data_folder import DataFolder


def test_the_trusted_keys_believe_what_the_signing_key_sealed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    envelope = SigningKey.load(folder.signing_key_file).seal(b"payload")
    assert TrustedKeys.load(folder.trusted_keys_file).open(envelope) == b"payload"


def test_keys_and_tokens_survive_a_second_start(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    before = {file.name: file.read_bytes() for file in folder.keys.iterdir()}
    folder.prepare()
    assert {file.name: file.read_bytes() for file in folder.keys.iterdir()} == before
    assert set(before) == {"signing.key", "trusted-keys.pem", "operator.token", "worker.token"}


def test_secrets_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    assert stat.S_IMODE(folder.keys.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.keys.iterdir()} == {0o600}


def test_operator_and_worker_have_different_tokens(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.prepare()
    assert folder.operator_token_file.read_text() != folder.worker_token_file.read_text()
    assert len(folder.operator_token_file.read_text()) >= 32


def test_a_start_that_was_cut_off_while_it_made_keys_is_completed(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.keys.mkdir()
    (folder.keys / "signing.key.unfinished").write_bytes(b"half a k")
    (folder.keys / "operator.token.unfinished").write_bytes(b"ha")
    folder.prepare()
    SigningKey.load(folder.signing_key_file)
    assert not list(folder.keys.glob("*.unfinished"))
