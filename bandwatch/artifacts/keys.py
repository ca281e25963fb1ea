"""The keys and tokens of a new deployment."""

import os
import secrets
from pathlib import Path

from bandwatch.artifacts.signing import SigningKey


def make_keys(folder: Path) -> list[Path]:
    """Make what a folder lacks of signing.key, trusted-keys.pem, operator.token and worker.token; return those."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made: list[Path] = []
    signing, trusted = folder / "signing.key", folder / "trusted-keys.pem"
    if not signing.exists():
        SigningKey.generate().save(signing)
        made.append(signing)
    if not trusted.exists():
        trusted.write_bytes(SigningKey.load(signing).public_pem())
        made.append(trusted)
    for path in (folder / "operator.token", folder / "worker.token"):
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            made.append(path)
    return made
