"""The keys and tokens of a new deployment."""

import os
import secrets
from pathlib import Path

from bandwatch.artifacts.blobs import sync_folder
from bandwatch.artifacts.signing import SigningKey
from bandwatch.errors import FailedPreconditionError


def make_keys(folder: Path) -> list[Path]:
    """Make what a folder lacks of signing.key, trusted-keys.pem, operator.token and worker.token; return those.

    Raises:
        FailedPreconditionError: Observers trust a key that is lost.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: list[Path] = []

    def make(name: str, content: bytes) -> None:
        made.append(folder / name)
        _write_private(folder / name, content)

    if (folder / "trusted-keys.pem").exists() and not (folder / "signing.key").exists():
        raise FailedPreconditionError(
            f"{folder} holds trusted-keys.pem but not the signing.key that it belongs to: put the key back, or remove "
            "trusted-keys.pem to begin with a new key, which every observer must then be given"
        )
    if not (folder / "signing.key").exists():
        make("signing.key", SigningKey.generate().private_pem())
    if not (folder / "trusted-keys.pem").exists():
        make("trusted-keys.pem", SigningKey.load(folder / "signing.key").public_pem())
    for name in ("operator.token", "worker.token"):
        if not (folder / name).exists():
            make(name, secrets.token_urlsafe(32).encode() + b"\n")
    return made


def _write_private(path: Path, content: bytes) -> None:
    """Write a file for its owner's eyes, aside and renamed: a crash leaves no half of a key."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)
