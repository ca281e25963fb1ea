"""The folder of a member's identity."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bandwatch.errors import CorruptError, InvalidArgumentError, NotFoundError
from bandwatch.identity.identity_files import load_identity, save_identity, save_renewed
from tests.unit.trusted_server import member

FILES = {"key.pem", "certificate.pem", "authorities.pem", "release-root.json", "member.json"}


def test_an_identity_survives_its_folder_which_only_its_owner_can_read(tmp_path: Path) -> None:
    identity = member("observers/roof", "radio.example.org:50052", release_root=b'{"root": 1}')
    save_identity(tmp_path / "identity", identity)
    assert load_identity(tmp_path / "identity", "") == identity
    assert {path.name for path in (tmp_path / "identity").iterdir()} == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "identity").iterdir()} == {0o600}


@pytest.mark.parametrize("lost", sorted(FILES))
def test_a_part_of_an_identity_is_none(tmp_path: Path, lost: str) -> None:
    save_identity(tmp_path, member("observers/roof"))
    (tmp_path / lost).unlink()
    with pytest.raises(NotFoundError, match="enrol it"):
        load_identity(tmp_path, "enrol it")


@pytest.mark.parametrize("damaged", ["key.pem", "certificate.pem", "authorities.pem", "member.json"])
def test_a_damaged_identity_is_said_to_be_so(tmp_path: Path, damaged: str) -> None:
    save_identity(tmp_path, member("observers/roof"))
    (tmp_path / damaged).write_text("{")
    with pytest.raises(CorruptError, match="enrol it"):
        load_identity(tmp_path, "enrol it")


def test_a_renewal_changes_the_certificate_and_whom_to_trust_and_nothing_else(tmp_path: Path) -> None:
    identity, other = member("observers/roof"), member("observers/roof")
    save_identity(tmp_path, identity)
    with pytest.raises(InvalidArgumentError, match="another key"):
        identity.renewed(other.certificate, other.authorities)
    renewed = identity.renewed(identity.certificate, identity.authorities * 2)
    save_renewed(tmp_path, renewed)
    assert load_identity(tmp_path, "") == replace(identity, authorities=identity.authorities * 2)
    assert renewed.authorities_digest != identity.authorities_digest
