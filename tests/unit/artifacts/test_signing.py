"""Key files: what was written is read again, and everything else is refused with a sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bandwatch.artifacts.signing import OnlineKeyFiles, load_key, new_key
from bandwatch.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError


def test_a_key_that_was_written_signs_as_before(tmp_path: Path) -> None:
    key = new_key()
    (tmp_path / "signing.key").write_bytes(key.private_bytes)
    again = load_key(tmp_path / "signing.key")
    assert again.public_key == key.public_key
    assert again.sign(b"payload") == key.sign(b"payload")


def test_every_key_is_another() -> None:
    assert len({new_key().public_key.keyid for _ in range(20)}) == 20


def test_online_keys_are_read_anew_for_every_use(tmp_path: Path) -> None:
    files = OnlineKeyFiles(tmp_path / "signing.key", tmp_path / "timestamp.key")
    files.dating.write_bytes(new_key().private_bytes)
    found = []
    for _ in range(2):
        files.naming.write_bytes(new_key().private_bytes)
        found.append(files.load())
    assert found[0].naming.public_key != found[1].naming.public_key
    assert found[0].dating.public_key == found[1].dating.public_key


def _elliptic() -> bytes:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _locked() -> bytes:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def _public() -> bytes:
    return Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (_elliptic, "of another kind"),
        (_locked, "no unencrypted private key"),
        (_public, "no unencrypted private key"),
        (bytes, "no unencrypted private key"),
    ],
)
def test_a_file_that_holds_no_such_key_is_refused_with_a_sentence(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    (tmp_path / "signing.key").write_bytes(content())
    with pytest.raises(InvalidArgumentError, match=sentence):
        load_key(tmp_path / "signing.key")


def test_a_key_that_is_not_there_or_cannot_be_read_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="make-keys"):
        load_key(tmp_path / "signing.key")
    with pytest.raises(FailedPreconditionError, match="make-keys"):
        load_key(tmp_path)
